//! Results: what a run brought as a document, as a text table and as a page.
//!
//! `result` is the only form that is stored; `table` and `page` are made from it alone, so that `loadgen
//! report` shows the same as the run itself did.

pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod result;
pub(crate) mod summary;
pub(crate) mod table;
