//! Every bound of the server in one place.
//!
//! A queue, buffer, cache or table without a field here is a defect. The configuration fills this value
//! once at start; [`Limits::check`] holds the relations between the fields, so the code below never meets
//! a contradiction. Units stand last in the names.

use std::fmt;

/// The bounds. `Limits::default()` is what a server uses without configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub body_bytes_max: usize,
    /// Most events of one append.
    pub append_events_max: usize,
    /// Longest idempotency key, in bytes.
    pub idempotency_key_bytes_max: usize,
    /// Keys remembered per partition.
    pub idempotency_keys_max: usize,
    /// How long a key is remembered, in milliseconds.
    pub idempotency_window_ms: u64,
    /// Longest content type, parent or trace context stored with an event, in bytes.
    pub event_header_bytes_max: usize,

    /// Most events of one read that is answered as an array.
    pub read_events_max: usize,
    /// Payload bytes after which a read reply is cut and the reader asks again.
    pub read_bytes_max: usize,
    /// Most names of one listing.
    pub list_names_max: usize,

    /// Bytes of one journal file; a block group never spans two.
    pub journal_file_bytes: usize,
    /// Most journal files of a shard.
    pub journal_files_max: usize,
    /// Bytes of one block group that the committer aims not to exceed; one large append may.
    pub group_bytes_target: usize,
    /// Appended bytes of a shard that wait for the disk before appends are held back.
    pub pending_bytes_max: usize,
    /// Bytes of events in a shard's memory that are not yet in segments before appends wait.
    pub memory_bytes_max: usize,
    /// Bytes of one chunk of a segment.
    pub chunk_bytes_max: usize,
    /// Segments of a partition before they are merged.
    pub segments_max: usize,
    /// Bytes of segment footers that a shard keeps in memory.
    pub footer_cache_bytes_max: usize,
    /// Bytes of segment chunks that a shard keeps in memory.
    pub chunk_cache_bytes_max: usize,
    /// Newest events of a stream that stay in memory.
    pub tail_events: usize,
    /// Bytes of newest events of one stream that stay in memory.
    pub tail_bytes: usize,
    /// Bytes of newest events of all streams of a shard that stay in memory.
    pub tail_bytes_max: usize,
    /// Streams of one shard.
    pub streams_max: usize,
    /// Disk reads of a shard under way at once.
    pub reads_in_flight_max: usize,

    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Bytes of a request target.
    pub target_bytes_max: usize,
    /// Requests of one connection under way at once.
    pub pipeline_depth_max: usize,
    /// Bytes of requests that one core is receiving or has not answered, of all its connections.
    pub request_bytes_max: usize,
    /// Time for a request's head to arrive, in milliseconds.
    pub head_timeout_ms: u64,
    /// Time without progress in a body or in sending, in milliseconds.
    pub body_timeout_ms: u64,
    /// Time an idle connection is kept, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Time for a TLS handshake, in milliseconds.
    pub tls_handshake_timeout_ms: u64,
    /// Connections of the server.
    pub connections_max: usize,
    /// Connections of one address.
    pub connections_per_address_max: usize,

    /// Users and groups.
    pub roles_max: usize,
    /// Grants of one user or group, counted by what they are about; half of them by who is no administrator.
    pub grants_per_role_max: usize,
    /// Groups that one user or group is directly in.
    pub groups_per_role_max: usize,
    /// Changes of users, groups and grants that wait to be made.
    pub identity_changes_max: usize,
    /// Sessions that were ended before their time and are remembered until then.
    pub revoked_sessions_max: usize,
    /// Sessions whose tokens a core need not verify again.
    pub sessions_cached_max: usize,
    /// Passwords that the process need not hash again.
    pub passwords_cached_max: usize,
    /// Tickets that wait to be used.
    pub tickets_max: usize,
    /// Tickets of one user that wait to be used.
    pub user_tickets_max: usize,
    /// Logins, and passwords of new users, that wait for a hash.
    pub logins_waiting_max: usize,
    /// Logins of one address that wait for a hash.
    pub logins_waiting_per_address_max: usize,
    /// Failed logins of one address as one user at once, and again in each minute.
    pub failed_logins_max: usize,
    /// Failed logins of one address at once, and again in each minute.
    pub failed_logins_per_address_max: usize,
    /// Users and addresses whose rates are remembered, for each rate.
    pub rate_keys_max: usize,

    /// Subscriptions of one listener.
    pub subscriptions_max: usize,
    /// Bytes of one WebSocket message.
    pub websocket_message_bytes_max: usize,
    /// Time without a client frame before a WebSocket is closed, in milliseconds.
    pub websocket_idle_timeout_ms: u64,
    /// Bytes that wait in one listener's outbox before it leaves live delivery.
    pub outbox_bytes_max: usize,
    /// Default time of a long-poll, in milliseconds.
    pub long_poll_ms: u64,
    /// Longest time of a long-poll, in milliseconds.
    pub long_poll_ms_max: u64,
    /// Time between comment lines on an idle SSE stream, in milliseconds.
    pub sse_heartbeat_ms: u64,

    /// Times that the server itself retries a PATCH that lost a race.
    pub patch_retries: usize,
    /// Messages that wait between two cores.
    pub mesh_messages_max: usize,
    /// Users with host and address that one event of activity names.
    pub activity_keys_max: usize,
    /// Bytes of the access log that wait to be written, of all cores together.
    pub access_log_bytes_max: usize,
    /// Time that a drain may take before connections are cut, in milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: usize = 1024;
        const MIB: usize = 1024 * KIB;
        Limits {
            body_bytes_max: 8 * MIB,
            append_events_max: 65_536,
            idempotency_key_bytes_max: 255,
            idempotency_keys_max: 16_384,
            idempotency_window_ms: 24 * 3600 * 1000,
            event_header_bytes_max: 2 * KIB,
            read_events_max: 10_000,
            read_bytes_max: 16 * MIB,
            list_names_max: 100_000,
            journal_file_bytes: 16 * MIB,
            journal_files_max: 16,
            group_bytes_target: MIB,
            pending_bytes_max: 32 * MIB,
            memory_bytes_max: 192 * MIB,
            chunk_bytes_max: 64 * KIB,
            segments_max: 8,
            footer_cache_bytes_max: 32 * MIB,
            chunk_cache_bytes_max: 32 * MIB,
            tail_events: 50,
            tail_bytes: 2 * MIB,
            tail_bytes_max: 64 * MIB,
            streams_max: 16_000_000,
            reads_in_flight_max: 64,
            head_bytes_max: 16 * KIB,
            headers_max: 100,
            target_bytes_max: 8 * KIB,
            pipeline_depth_max: 128,
            request_bytes_max: 128 * MIB,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 75_000,
            tls_handshake_timeout_ms: 10_000,
            connections_max: 100_000,
            connections_per_address_max: 100_000,
            roles_max: 1_000_000,
            grants_per_role_max: 1_000,
            groups_per_role_max: 100,
            identity_changes_max: 1_024,
            revoked_sessions_max: 100_000,
            sessions_cached_max: 20_000,
            passwords_cached_max: 100_000,
            tickets_max: 10_000,
            user_tickets_max: 1_000,
            logins_waiting_max: 64,
            logins_waiting_per_address_max: 32,
            failed_logins_max: 10,
            failed_logins_per_address_max: 100,
            rate_keys_max: 100_000,
            subscriptions_max: 1_000,
            websocket_message_bytes_max: MIB,
            websocket_idle_timeout_ms: 60_000,
            outbox_bytes_max: MIB,
            long_poll_ms: 60_000,
            long_poll_ms_max: 300_000,
            sse_heartbeat_ms: 15_000,
            patch_retries: 8,
            mesh_messages_max: 4_096,
            activity_keys_max: 1_000,
            access_log_bytes_max: 8 * MIB,
            drain_timeout_ms: 10_000,
        }
    }
}

/// Two limits that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    /// What does not hold, naming the fields.
    pub reason: String,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for LimitError {}

/// Room that one record takes in a group beside its payload, at most: header, stream reference, name.
const RECORD_OVERHEAD_BYTES: usize = 64;
/// Group header, batch header, names and padding of one group that holds one append.
const GROUP_OVERHEAD_BYTES: usize = 16 * 1024;
/// Largest head that may be configured: places in a head are 16 bits wide.
const HEAD_BYTES_CEILING: usize = 65_535;
/// Largest body that may be configured: 1 GiB.
const BODY_BYTES_CEILING: usize = 1 << 30;

impl Limits {
    /// The most bytes that a single append can take in the journal.
    pub fn append_bytes_max(&self) -> usize {
        let overhead = self.append_events_max.saturating_mul(RECORD_OVERHEAD_BYTES);
        self.body_bytes_max.saturating_add(overhead).saturating_add(GROUP_OVERHEAD_BYTES)
    }

    /// Checks the relations that the code relies on.
    ///
    /// # Errors
    /// The first relation that does not hold, with the names and the values.
    pub fn check(&self) -> Result<(), LimitError> {
        let rules: [(bool, &str); 16] = [
            (self.body_bytes_max <= BODY_BYTES_CEILING, "body_bytes_max must be at most 1 GiB"),
            (self.body_bytes_max >= 1, "body_bytes_max must be at least 1"),
            (self.append_events_max >= 1, "append_events_max must be at least 1"),
            (self.journal_file_bytes.is_multiple_of(4096), "journal_file_bytes must be a multiple of 4096"),
            (
                self.append_bytes_max().saturating_add(4096) <= self.journal_file_bytes,
                "journal_file_bytes must hold the largest append: body_bytes_max + 64 * append_events_max + \
                 20 KiB",
            ),
            (
                self.request_bytes_max >= self.body_bytes_max,
                "request_bytes_max must be at least body_bytes_max",
            ),
            (self.head_bytes_max <= HEAD_BYTES_CEILING, "head_bytes_max must be at most 65535"),
            (self.target_bytes_max <= self.head_bytes_max, "target_bytes_max must be at most head_bytes_max"),
            (self.journal_files_max >= 4, "journal_files_max must be at least 4"),
            (self.segments_max >= 2, "segments_max must be at least 2"),
            (self.event_header_bytes_max <= 8192, "event_header_bytes_max must be at most 8192"),
            (self.reads_in_flight_max >= 1, "reads_in_flight_max must be at least 1"),
            (self.outbox_bytes_max >= 4096, "outbox_bytes_max must be at least 4096"),
            (self.mesh_messages_max >= 1, "mesh_messages_max must be at least 1"),
            (self.failed_logins_max >= 1, "failed_logins_max must be at least 1"),
            (self.failed_logins_per_address_max >= 1, "failed_logins_per_address_max must be at least 1"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, reason)) => Err(LimitError { reason: reason.to_owned() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_their_own_relations() {
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn a_journal_file_that_cannot_hold_a_body_is_refused() {
        let limits = Limits { journal_file_bytes: 8 << 20, ..Limits::default() };
        let error = limits.check().expect_err("an 8 MiB file cannot hold an 8 MiB body");
        assert!(error.reason.contains("journal_file_bytes"), "{error}");
    }
}
