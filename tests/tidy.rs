//! The rules of the house, as a test: floors, purity of the cores, `unsafe`, heads and sizes of files.
//!
//! `cargo test --test tidy` runs it over the tree on disk and prints every violation with its place. The
//! checker itself is one pure function, [`tree::check`], from paths and texts to violations, so that the
//! tests in `tidy/planted.rs` can plant each violation and see it caught. `docs/testing.md` lists the rules.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/unsafety.rs"]
mod unsafety;

#[test]
fn the_tree_keeps_the_rules_of_the_house() {
    let tree = tree::read(env!("CARGO_MANIFEST_DIR").as_ref());
    assert!(tree.iter().any(|(path, _)| path == "src/main.rs"), "the walk found the sources");
    for (path, line_count) in shape::long_files(&tree) {
        println!("long: {path} has {line_count} lines");
    }
    let violations = tree::check(&tree);
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} violations:\n{}\n", lines.len(), lines.join("\n"));
}
