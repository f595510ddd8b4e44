//! What kind of work a request is: the label under which its time is counted.
//!
//! Few and fixed, so that figures stay small: never a name that a client chose. What is refused by its
//! head alone, and whatever is answered on the spot, is `other`; a listener's time says nothing and is not
//! counted.

use super::plan::Plan;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Append,
    Read,
    /// A read that may wait for an event to come.
    Wait,
    Patch,
    Delete,
    Settings,
    List,
    Other,
}

impl Endpoint {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [Endpoint; 8] = [
        Endpoint::Append,
        Endpoint::Read,
        Endpoint::Wait,
        Endpoint::Patch,
        Endpoint::Delete,
        Endpoint::Settings,
        Endpoint::List,
        Endpoint::Other,
    ];

    /// The kind of what is planned.
    pub(super) fn of(plan: &Plan) -> Endpoint {
        match plan {
            Plan::Append(_) => Endpoint::Append,
            Plan::Read(read) if read.waits() => Endpoint::Wait,
            Plan::Read(_) => Endpoint::Read,
            Plan::Patch(_) => Endpoint::Patch,
            Plan::Remove(_) => Endpoint::Delete,
            Plan::Settings(_) => Endpoint::Settings,
            Plan::List(_) => Endpoint::List,
            _ => Endpoint::Other,
        }
    }

    /// The label's value.
    pub(super) fn label(self) -> &'static str {
        match self {
            Endpoint::Append => "append",
            Endpoint::Read => "read",
            Endpoint::Wait => "wait",
            Endpoint::Patch => "patch",
            Endpoint::Delete => "delete",
            Endpoint::Settings => "settings",
            Endpoint::List => "list",
            Endpoint::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_stands_at_its_own_number() {
        for (index, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint as usize, index, "{}", endpoint.label());
        }
    }
}
