//! JSON patches (RFC 6902) and merge patches (RFC 7396) as a function of two texts.
//!
//! Runs on a core for small documents and on a blocking thread for large ones. A patch can make a document
//! grow far beyond both texts (`copy`) and nest deeper than any parser allows, so growth and depth are
//! bounded before an operation is carried out. Nothing here panics or recurses deeper than `DEPTH_MAX`.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

/// Deepest nesting of a document, the same as the parser's.
const DEPTH_MAX: usize = 127;
/// Most operations of one patch; inserting into a long array costs its length each time.
const OPERATIONS_MAX: usize = 10_000;

/// Which kind of patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchKind {
    /// `application/json-patch+json`
    Operations,
    /// `application/merge-patch+json`
    Merge,
}

/// Why a patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PatchRefused {
    /// The patch is none, or does not apply to the document.
    Invalid(String),
    /// The result would be larger than allowed.
    TooLarge,
}

/// The document that results, as a text of at most `bytes_max`.
///
/// # Errors
/// [`PatchRefused`].
pub(super) fn patched(
    kind: PatchKind,
    document: &[u8],
    patch: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, PatchRefused> {
    let parse = |what: &str, text: &[u8]| -> Result<Value, PatchRefused> {
        let value = serde_json::from_slice(text);
        value.map_err(|error| {
            PatchRefused::Invalid(format!("{what} is not JSON that can be patched: {error}"))
        })
    };
    let result = match kind {
        PatchKind::Merge => {
            let patch = parse("the patch", patch)?;
            let mut document = parse("the newest event", document)?;
            json_patch::merge(&mut document, &patch);
            document
        }
        PatchKind::Operations => {
            let operations = parse_operations(patch)?;
            let document = parse("the newest event", document)?;
            apply(document, &operations, bytes_max)?
        }
    };
    let text = serde_json::to_vec(&result).map_err(|error| PatchRefused::Invalid(error.to_string()))?;
    if text.len() > bytes_max { Err(PatchRefused::TooLarge) } else { Ok(text) }
}

fn parse_operations(patch: &[u8]) -> Result<Vec<PatchOperation>, PatchRefused> {
    let Patch(operations) = serde_json::from_slice(patch)
        .map_err(|error| PatchRefused::Invalid(format!("not a JSON patch: {error}")))?;
    if operations.len() > OPERATIONS_MAX {
        let reason = format!("a patch has at most {OPERATIONS_MAX} operations");
        return Err(PatchRefused::Invalid(reason));
    }
    Ok(operations)
}

fn apply(
    mut document: Value,
    operations: &[PatchOperation],
    bytes_max: usize,
) -> Result<Value, PatchRefused> {
    let mut copied_bytes = 0;
    for (number, operation) in operations.iter().enumerate() {
        let refused = |reason: String| PatchRefused::Invalid(format!("operation {number}: {reason}"));
        let inserted = inserted_by(&document, operation);
        let target_depth = operation.path().tokens().count();
        if let Some(value) = inserted {
            if target_depth + depth_of(value) > DEPTH_MAX {
                return Err(refused(format!("nests deeper than {DEPTH_MAX}")));
            }
            if matches!(operation, PatchOperation::Copy(_)) {
                copied_bytes += size_of(value);
            }
        }
        if copied_bytes > bytes_max {
            return Err(PatchRefused::TooLarge);
        }
        let one = std::slice::from_ref(operation);
        json_patch::patch(&mut document, one).map_err(|error| refused(error.kind.to_string()))?;
    }
    Ok(document)
}

/// The value that an operation puts somewhere.
fn inserted_by<'a>(document: &'a Value, operation: &'a PatchOperation) -> Option<&'a Value> {
    match operation {
        PatchOperation::Add(add) => Some(&add.value),
        PatchOperation::Replace(replace) => Some(&replace.value),
        PatchOperation::Copy(copy) => document.pointer(copy.from.as_str()),
        PatchOperation::Move(moved) => document.pointer(moved.from.as_str()),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
    }
}

/// Levels of arrays and objects. No value is deeper than `DEPTH_MAX`: the parser and [`apply`] see to it.
fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}

/// At least the bytes of its text, and what its nodes cost in memory.
fn size_of(value: &Value) -> usize {
    /// A node of the tree.
    const NODE_BYTES: usize = 32;
    NODE_BYTES
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size_of).sum(),
            Value::Object(members) => members.iter().map(|(name, value)| name.len() + size_of(value)).sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply_text(kind: PatchKind, document: &str, patch: &str) -> Result<String, PatchRefused> {
        let result = patched(kind, document.as_bytes(), patch.as_bytes(), 10_000)?;
        Ok(String::from_utf8(result).expect("JSON is text"))
    }

    #[test]
    fn every_operation_of_rfc_6902_applies() {
        for (document, patch, expected) in [
            (r#"{"a":1}"#, r#"[{"op":"add","path":"/b","value":2}]"#, r#"{"a":1,"b":2}"#),
            (r#"[1,3]"#, r#"[{"op":"add","path":"/1","value":2}]"#, "[1,2,3]"),
            (r#"[1]"#, r#"[{"op":"add","path":"/-","value":2}]"#, "[1,2]"),
            (r#"{"a":1,"b":2}"#, r#"[{"op":"remove","path":"/a"}]"#, r#"{"b":2}"#),
            (r#"{"a":1}"#, r#"[{"op":"replace","path":"/a","value":null}]"#, r#"{"a":null}"#),
            (r#"{"a":{"x":1}}"#, r#"[{"op":"move","from":"/a/x","path":"/b"}]"#, r#"{"a":{},"b":1}"#),
            (r#"{"a":[1]}"#, r#"[{"op":"copy","from":"/a","path":"/b"}]"#, r#"{"a":[1],"b":[1]}"#),
            (r#"{"a~/b":1}"#, r#"[{"op":"test","path":"/a~0~1b","value":1}]"#, r#"{"a~/b":1}"#),
            ("1", r#"[{"op":"replace","path":"","value":{"a":1}}]"#, r#"{"a":1}"#),
            ("1", "[]", "1"),
        ] {
            assert_eq!(
                apply_text(PatchKind::Operations, document, patch).as_deref(),
                Ok(expected),
                "{patch}"
            );
        }
    }

    #[test]
    fn what_is_no_patch_or_does_not_apply_is_invalid() {
        for patch in [
            "",
            "{}",
            "1",
            r#"{"op":"add","path":"/b","value":2}"#,
            r#"[{"op":"test","path":"/a","value":2}]"#,
            r#"[{"op":"remove","path":"/x"}]"#,
            r#"[{"op":"replace","path":"/x","value":1}]"#,
            r#"[{"op":"add","path":"/x/y","value":1}]"#,
            r#"[{"op":"add","path":"x","value":1}]"#,
            r#"[{"op":"add","path":"/x"}]"#,
            r#"[{"op":"grow","path":"/x"}]"#,
            r#"[{"op":"move","from":"/x","path":"/a"}]"#,
            r#"[{"op":"copy","path":"/b"}]"#,
        ] {
            let result = apply_text(PatchKind::Operations, r#"{"a":1}"#, patch);
            assert!(matches!(result, Err(PatchRefused::Invalid(_))), "{patch}: {result:?}");
        }
        let of_text = apply_text(PatchKind::Operations, "not json", "[]");
        assert!(matches!(of_text, Err(PatchRefused::Invalid(_))));
    }

    #[test]
    fn a_merge_patch_merges_and_null_removes() {
        let merged =
            apply_text(PatchKind::Merge, r#"{"a":{"b":1,"c":2},"d":[1]}"#, r#"{"a":{"b":null},"d":[2]}"#);
        assert_eq!(merged.as_deref(), Ok(r#"{"a":{"c":2},"d":[2]}"#));
        assert_eq!(apply_text(PatchKind::Merge, "1", r#"{"a":{"b":null}}"#).as_deref(), Ok(r#"{"a":{}}"#));
        assert!(matches!(apply_text(PatchKind::Merge, "{}", "{"), Err(PatchRefused::Invalid(_))));
    }

    #[test]
    fn a_patch_that_doubles_its_document_is_stopped_by_size() {
        let double = r#"{"op":"copy","from":"/a","path":"/a/-"}"#;
        let patch = format!("[{}]", [double; 20].join(","));
        let result = apply_text(PatchKind::Operations, r#"{"a":[1,2,3,4,5,6,7,8]}"#, &patch);
        assert_eq!(result, Err(PatchRefused::TooLarge));
    }

    #[test]
    fn a_patch_that_nests_without_end_is_stopped_by_depth() {
        let mut path = String::new();
        let mut operations = Vec::new();
        for _ in 0..200 {
            path.push_str("/a");
            operations.push(format!(r#"{{"op":"add","path":"{path}","value":{{}}}}"#));
        }
        let patch = format!("[{}]", operations.join(","));
        let result = patched(PatchKind::Operations, b"{}", patch.as_bytes(), 1 << 20);
        assert!(matches!(result, Err(PatchRefused::Invalid(reason)) if reason.contains("nests deeper")));
    }

    proptest::proptest! {
        #[test]
        fn no_patch_panics(document in ".{0,60}", patch in ".{0,60}") {
            for kind in [PatchKind::Operations, PatchKind::Merge] {
                let _ = patched(kind, document.as_bytes(), patch.as_bytes(), 1000);
            }
        }

        #[test]
        fn no_sequence_of_operations_panics(
            ops in proptest::collection::vec((0..6_usize, 0..6_usize, 0..6_usize), 0..12),
        ) {
            let paths = ["", "/a", "/a/0", "/a/-", "/b/c", "/b"];
            let operations: Vec<String> = ops
                .iter()
                .map(|&(op, path, from)| {
                    let op = ["add", "remove", "replace", "move", "copy", "test"][op];
                    let (path, from) = (paths[path], paths[from]);
                    format!(r#"{{"op":"{op}","path":"{path}","from":"{from}","value":[1]}}"#)
                })
                .collect();
            let patch = format!("[{}]", operations.join(","));
            let _ = patched(PatchKind::Operations, br#"{"a":[1,[2]],"b":{"c":1}}"#, patch.as_bytes(), 10_000);
        }
    }
}
