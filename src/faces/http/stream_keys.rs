//! Streams by the path that names them, so that a client that comes back to one does not have it decoded,
//! checked and allocated again.
//!
//! One table per core, asked by the plans of appends and reads. What a path names depends on the path alone,
//! so an entry is never out of date. A path has one place; who else hashes there displaces it.

use super::route;
use http1::RequestHead;
use std::cell::RefCell;
use types::{Failure, StreamKey};
use xxhash_rust::xxh3::xxh3_64;

/// Places of a core's table.
const PLACES: usize = 1024;
/// Longer paths are decoded each time.
const PATH_BYTES_MAX: usize = 128;

/// A path and what it names.
type Entry = (Box<str>, StreamKey);

/// The table of one core; empty until it is needed.
#[derive(Default)]
pub(super) struct StreamKeys(RefCell<Vec<Option<Entry>>>);

impl StreamKeys {
    /// The stream that `/streams/:bucket/:stream` names.
    ///
    /// # Errors
    /// As [`route::stream_key`].
    pub(super) fn of(&self, head: &RequestHead) -> Result<StreamKey, Failure> {
        let path = head.path();
        if path.len() > PATH_BYTES_MAX {
            return route::stream_key(head);
        }
        let place = xxh3_64(path.as_bytes()) as usize % PLACES;
        let mut table = self.0.borrow_mut();
        if let Some(Some((known, key))) = table.get(place)
            && **known == *path
        {
            return Ok(key.clone());
        }
        let key = route::stream_key(head)?;
        if table.is_empty() {
            table.resize(PLACES, None);
        }
        table[place] = Some((path.into(), key.clone()));
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::head;
    use super::*;

    #[test]
    fn a_path_names_the_same_stream_however_often_and_whoever_came_between() {
        let keys = StreamKeys::default();
        let long = format!("/streams/b/{}", "s".repeat(PATH_BYTES_MAX));
        let mut targets: Vec<String> =
            (0..3 * PLACES).map(|number| format!("/streams/b/s{number}")).collect();
        targets.extend([long, "/streams/b/a%20b/c".to_owned(), "/streams/b/a%20b/c/".to_owned()]);
        for target in targets.iter().chain(&targets).chain(&targets[..9]) {
            let head = head("GET", target, &[]);
            assert_eq!(keys.of(&head).ok(), route::stream_key(&head).ok(), "{target}");
        }
        assert_eq!(keys.0.borrow().len(), PLACES);
    }

    #[test]
    fn a_path_that_names_nothing_is_refused_each_time() {
        let keys = StreamKeys::default();
        for _ in 0..2 {
            assert!(keys.of(&head("GET", "/streams/b/%zz", &[])).is_err());
        }
        assert!(keys.0.borrow().is_empty());
    }
}
