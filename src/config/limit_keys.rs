//! One key for every field of `Limits`.
//!
//! The macro takes the fields apart without `..`: a field that has no key does not compile. Kind and
//! description stand beside the name; the defaults come from `Limits::default()` alone.

use super::keys::{Key, NumberField};
use super::value::{Kind, Value};
use types::Limits;

macro_rules! limit_keys {
    ($($field:ident: $kind:ident = $summary:literal;)*) => {
        /// The keys of the section `[limits]`, in the order of the fields.
        pub(super) static LIMIT_KEYS: &[Key] = &[$(Key {
            dotted: concat!("limits.", stringify!($field)),
            kind: Kind::$kind,
            summary: $summary,
            write: |config, value| config.limits.$field.set_number(&value),
            read: |config| Value::Number(config.limits.$field.number()),
        }),*];

        /// Never called: refuses to compile when a field of `Limits` has no key above.
        const _: fn(&Limits) = |limits| {
            let Limits { $($field: _),* } = limits;
        };
    };
}

limit_keys! {
    body_bytes_max: Bytes = "Largest request body; at most 1GiB.";
    append_events_max: Count = "Most events of one append.";
    idempotency_key_bytes_max: Bytes = "Longest idempotency key.";
    idempotency_keys_max: Count = "Idempotency keys remembered per partition.";
    idempotency_window_ms: DurationMs = "How long an idempotency key is remembered.";
    event_header_bytes_max: Bytes = "Longest content type, parent or trace context stored with an event.";
    read_events_max: Count = "Most events of one read that is answered as an array.";
    read_bytes_max: Bytes = "Payload bytes after which a read reply is cut and the reader asks again.";
    list_names_max: Count = "Most names of one listing.";
    journal_file_bytes: Bytes = "Size of one journal file: a multiple of 4KiB that holds the largest append.";
    journal_files_max: Count = "Most journal files of a shard; at least 4.";
    group_bytes_target: Bytes = "Size of one block group that the committer aims not to exceed.";
    pending_bytes_max: Bytes = "Appends of a shard that wait for the disk before more are held back.";
    memory_bytes_max: Bytes = "Events of a shard in memory and not yet in segments before appends wait.";
    chunk_bytes_max: Bytes = "Size of one chunk of a segment.";
    segments_max: Count = "Segments of a partition before they are merged; at least 2.";
    footer_cache_bytes_max: Bytes = "Segment footers that a shard keeps in memory.";
    chunk_cache_bytes_max: Bytes = "Segment chunks that a shard keeps in memory.";
    tail_events: Count = "Newest events of a stream that stay in memory.";
    tail_bytes: Bytes = "Newest events of one stream that stay in memory, in bytes.";
    tail_bytes_max: Bytes = "Newest events of all streams of a shard that stay in memory, in bytes.";
    streams_max: Count = "Streams of one shard.";
    reads_in_flight_max: Count = "Disk reads of a shard under way at once.";
    head_bytes_max: Bytes = "Size of a request's head.";
    headers_max: Count = "Headers of a request.";
    target_bytes_max: Bytes = "Size of a request target.";
    pipeline_depth_max: Count = "Requests of one connection under way at once.";
    request_bytes_max: Bytes = "Requests that one core is receiving or has not answered.";
    head_timeout_ms: DurationMs = "Time for a request's head to arrive.";
    body_timeout_ms: DurationMs = "Time without progress in a body or in sending.";
    idle_timeout_ms: DurationMs = "Time an idle connection is kept.";
    tls_handshake_timeout_ms: DurationMs = "Time for a TLS handshake.";
    connections_max: Count = "Connections of the server.";
    connections_per_address_max: Count = "Connections of one address.";
    roles_max: Count = "Users and groups.";
    grants_per_role_max: Count = "Grants of one user or group, counted by what they are about.";
    groups_per_role_max: Count = "Groups that one user or group is directly in.";
    identity_changes_max: Count = "Changes of users, groups and grants that wait to be made.";
    revoked_sessions_max: Count = "Sessions that were ended before their time and are remembered.";
    sessions_cached_max: Count = "Sessions whose tokens a core need not verify again.";
    passwords_cached_max: Count = "Passwords that the process need not hash again.";
    tickets_max: Count = "Tickets that wait to be used.";
    user_tickets_max: Count = "Tickets of one user that wait to be used.";
    logins_waiting_max: Count = "Logins, and passwords of new users, that wait for a hash.";
    logins_waiting_per_address_max: Count = "Logins of one address that wait for a hash.";
    failed_logins_max: Count = "Failed logins of one address as one user at once, and again a minute.";
    failed_logins_per_address_max: Count = "Failed logins of one address at once, and again a minute.";
    rate_keys_max: Count = "Users and addresses whose rates are remembered, for each rate.";
    subscriptions_max: Count = "Subscriptions of one listener.";
    websocket_message_bytes_max: Bytes = "Size of one WebSocket message.";
    websocket_idle_timeout_ms: DurationMs = "Time without a client frame before a WebSocket is closed.";
    outbox_bytes_max: Bytes = "What waits for one listener before it leaves live delivery; at least 4KiB.";
    long_poll_ms: DurationMs = "Default time of a long-poll.";
    long_poll_ms_max: DurationMs = "Longest time of a long-poll.";
    sse_heartbeat_ms: DurationMs = "Time between comment lines on an idle SSE stream.";
    patch_retries: Count = "Times that the server itself retries a PATCH that lost a race.";
    mesh_messages_max: Count = "Messages that wait between two cores.";
    activity_keys_max: Count = "Users with host and address that one event of `$sys/activity` names.";
    access_log_bytes_max: Bytes = "Lines of the access log that wait to be written before more are dropped.";
    drain_timeout_ms: DurationMs = "Time that a drain may take before connections are cut.";
}
