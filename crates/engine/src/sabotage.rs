//! Planted faults, to show that the tests notice when a rule of the storage design is left out.
//!
//! Only builds with the cargo feature `sabotage` (the simulator's) can hold anything but `None`; in every
//! other build [`Planted::is`] is a constant `false`.

/// A rule that is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing is left out.
    #[default]
    None,
    /// Appends are acknowledged when the write is done, before the flush.
    AckBeforeFlush,
    /// Recovery writes no fence at the cut.
    NoFence,
    /// The checksum of the previous group is not compared.
    NoChain,
    /// `durable_upto` is not taken as proof.
    NoDurableUpto,
    /// Recovery reads before it flushes.
    NoFlushInRecovery,
    /// Directories are not synced.
    NoDirectorySync,
    /// A short write counts as a whole one.
    ShortWriteIgnored,
    /// A failed flush is tried again.
    SyncRetried,
    /// The last block of an acknowledged group is used again.
    BlockReused,
    /// Events are shown before they are durable.
    DeliveryAboveWatermark,
}

/// The planted fault of one engine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted(#[cfg(feature = "sabotage")] Sabotage);

impl Planted {
    #[cfg(feature = "sabotage")]
    pub(crate) fn new(sabotage: Sabotage) -> Self {
        Planted(sabotage)
    }

    #[cfg(not(feature = "sabotage"))]
    pub(crate) fn new(sabotage: Sabotage) -> Self {
        assert_eq!(sabotage, Sabotage::None, "this build cannot plant faults");
        Planted()
    }

    /// Whether `sabotage` is planted.
    #[cfg(feature = "sabotage")]
    pub(crate) fn is(self, sabotage: Sabotage) -> bool {
        self.0 == sabotage
    }

    /// Whether `sabotage` is planted: never in this build.
    #[cfg(not(feature = "sabotage"))]
    #[allow(clippy::unused_self, reason = "the same call in both builds")]
    pub(crate) const fn is(self, _sabotage: Sabotage) -> bool {
        false
    }
}
