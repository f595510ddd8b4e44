//! Violations planted in a small tree of their own, each of which must be caught, and by its own rule.
//!
//! `sound()` is a tree without a violation. A test adds or replaces one file and names the violations that
//! it expects as `path:line rule`; a rule that is never caught here could be one that cannot fail.

use crate::lexer::Source;
use crate::paths::named_paths;
use crate::tree::{File, check};

const HEAD: &str = "//! A file of the planted tree.\n//! Nobody calls it.\n//! It never fails.\n";

fn sound() -> Vec<File> {
    let manifest = |names: &str| format!("[package]\nname = \"x\"\n[dependencies]\n{names}\n");
    let core = format!("{HEAD}#![forbid(unsafe_code)]\n");
    let safe =
        "// SAFETY: the pointer is to a live buffer.\n#[allow(unsafe_code)]\nlet x = unsafe { f() };\n";
    [
        ("Cargo.toml", manifest("engine.workspace = true\nio-uring = \"0.7\"")),
        ("crates/types/Cargo.toml", manifest("bytes.workspace = true")),
        ("crates/types/src/lib.rs", core.clone()),
        ("crates/commitlog/Cargo.toml", manifest("types.workspace = true")),
        ("crates/commitlog/src/lib.rs", format!("{core}use std::collections::BTreeMap;\n")),
        ("crates/engine/Cargo.toml", manifest("commitlog.workspace = true")),
        ("src/main.rs", format!("{HEAD}fn main() {{ millrace::cli::run(); }}\n")),
        ("src/lib.rs", format!("{HEAD}pub mod cli;\npub use cli::run;\n")),
        ("src/cli/mod.rs", format!("{HEAD}use crate::server::{{Server, start}};\n")),
        ("src/server/mod.rs", format!("{HEAD}use crate::{{shard::CoreLink, sys::disk}};\n")),
        ("src/shard/mod.rs", format!("{HEAD}use super::sys;\nuse engine::Engine;\n")),
        ("src/sys/mod.rs", format!("{HEAD}use io_uring::IoUring;\nfn g() {{\n{safe}}}\n")),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .to_vec()
}

fn planted(path: &str, text: &str) -> Vec<String> {
    let mut tree = sound();
    tree.retain(|(other, _)| other != path);
    tree.push((path.to_owned(), text.to_owned()));
    check(&tree).iter().map(|found| format!("{}:{} {}", found.path, found.line, found.rule)).collect()
}

/// Plants a source below a sound head (three lines) and expects violations of `rule` at `lines`.
fn caught(path: &str, body: &str, rule: &str, lines: &[usize]) {
    let wanted: Vec<String> = lines.iter().map(|line| format!("{path}:{line} {rule}")).collect();
    assert_eq!(planted(path, &format!("{HEAD}{body}")), wanted, "{path} with {body:?}");
}

#[test]
fn a_sound_tree_has_no_violation() {
    let found = check(&sound());
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn an_import_of_a_floor_above_is_caught_in_the_shell() {
    caught("src/shard/link.rs", "use crate::broker::Router;\n", "floors", &[4]);
    caught("src/shard/link.rs", "use super::super::faces;\n", "floors", &[4]);
    caught("src/shard/link.rs", "fn f() { crate::server::start(); }\n", "floors", &[4]);
    caught("src/shard/link.rs", "#[cfg(test)]\nmod tests { use crate::cli::run; }\n", "floors", &[5]);
    caught("src/sys/net.rs", "use crate::{\n    shard::CoreLink,\n    sys::disk,\n};\n", "floors", &[5]);
    caught("src/config/mod.rs", "use crate::Server;\n", "floors", &[4]);
}

#[test]
fn an_import_of_a_floor_above_is_caught_in_the_cores() {
    let manifest = "[package]\nname = \"commitlog\"\n[dependencies]\nengine.workspace = true\n";
    let found = planted("crates/commitlog/Cargo.toml", manifest);
    assert!(found.contains(&"crates/commitlog/Cargo.toml:0 floors".to_owned()), "{found:?}");
    caught("crates/types/src/name.rs", "use engine::Engine;\n", "floors", &[4]);
    let renamed = "[target.'cfg(unix)'.dev-dependencies]\nbelow = { package = \"engine\", path = \"..\" }\n";
    let found = planted("crates/types/Cargo.toml", renamed);
    assert!(found.contains(&"crates/types/Cargo.toml:0 floors".to_owned()), "{found:?}");
}

#[test]
fn cores_of_one_floor_that_import_each_other_are_caught() {
    let manifest = "[dependencies]\ncommitlog = { path = \"../commitlog\" }\n";
    assert_eq!(planted("crates/http1/Cargo.toml", manifest), ["crates/http1/Cargo.toml:0 floors"]);
    let manifest = "[dev-dependencies]\nwebsocket.workspace = true\n";
    assert_eq!(planted("crates/http1/Cargo.toml", manifest), ["crates/http1/Cargo.toml:0 floors"]);
}

#[test]
fn the_simulator_may_import_the_engine_and_nothing_of_the_shell() {
    assert!(planted("sim/Cargo.toml", "[dependencies]\nengine.workspace = true\n").is_empty());
    let shell = "[dependencies]\nmillrace = { path = \"..\" }\n";
    assert_eq!(planted("sim/Cargo.toml", shell), ["sim/Cargo.toml:0 floors"]);
    let codec = "[dependencies]\nhttp1.workspace = true\n";
    assert_eq!(planted("sim/Cargo.toml", codec), ["sim/Cargo.toml:0 floors"]);
}

#[test]
fn the_benches_may_import_everything_and_nobody_imports_them() {
    assert!(planted("benches/Cargo.toml", "[dependencies]\nengine.workspace = true\n").is_empty());
    let shell = "[dependencies]\nmillrace = { path = \"..\" }\n";
    assert!(planted("benches/Cargo.toml", shell).is_empty());
    let benches = "[dev-dependencies]\nbenches = { path = \"../benches\" }\n";
    assert_eq!(planted("crates/types/Cargo.toml", benches), ["crates/types/Cargo.toml:0 floors"]);
    assert_eq!(planted("sim/Cargo.toml", benches), ["sim/Cargo.toml:0 floors"]);
}

#[test]
fn a_circle_on_one_floor_is_caught() {
    let mut tree = sound();
    tree.push(("src/config/mod.rs".into(), format!("{HEAD}use crate::observe::Log;\n")));
    assert!(check(&tree).is_empty());
    tree.push(("src/observe/mod.rs".into(), format!("{HEAD}use crate::config::Config;\n")));
    let found = check(&tree);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|violation| violation.what.contains("in a circle")), "{found:?}");
}

#[test]
fn a_folder_without_a_floor_is_caught() {
    caught("src/plugins/mod.rs", "", "floors", &[0]);
    let core = format!("{HEAD}#![forbid(unsafe_code)]\n");
    assert_eq!(planted("crates/plugins/src/lib.rs", &core), ["crates/plugins/src/lib.rs:0 floors"]);
}

#[test]
fn the_ring_outside_sys_is_caught() {
    caught("src/shard/mod.rs", "use io_uring::opcode;\n", "purity", &[4]);
    caught("src/cli/mod.rs", "fn f() { io_uring::register(g()); }\n", "purity", &[4]);
    caught(
        "src/cli/mod.rs",
        "// io_uring may be spoken of\nconst A: &str = \"io_uring::x\";\n",
        "purity",
        &[],
    );
    let manifest = "[dependencies]\nio-uring = \"0.7\"\n";
    assert_eq!(planted("crates/types/Cargo.toml", manifest), ["crates/types/Cargo.toml:0 purity"]);
}

#[test]
fn the_world_in_a_core_is_caught() {
    let path = "crates/types/src/name.rs";
    for body in [
        "use std::time::Instant;\n",
        "use std::time::{Duration, SystemTime};\n",
        "fn f() { let now = std::time::Instant::now(); }\n",
        "use std::time::*;\n",
        "use std::thread;\n",
        "fn f() { std::thread::sleep(d); }\n",
        "use std::{fs::File, fmt};\n",
        "use std::net::TcpStream;\n",
        "use std::io::stdin;\n",
        "fn f() { let home = std::env::var(name); }\n",
        "use std::collections::HashMap;\n",
        "use std::collections::{BTreeMap, HashSet};\n",
        "use std::sync::Mutex;\n",
        "fn f() { rand::random() }\n",
        "use getrandom::fill;\n",
        "use ring::rand::SystemRandom;\n",
        "async fn f() {}\n",
        "fn f() { println!(\"x\"); }\n",
    ] {
        caught(path, body, "purity", &[4]);
        caught("sim/src/rng.rs", body, "purity", &[4]);
        caught(path, &format!("#[cfg(test)]\nmod tests {{\n{body}}}\n"), "purity", &[]);
    }
    for body in ["use std::time::Duration;\n", "use std::net::Ipv6Addr;\n", "use std::io::Write;\n"] {
        caught(path, body, "purity", &[]);
    }
    let manifest = "[dependencies]\nrand = \"0.9\"\n";
    assert_eq!(planted("crates/types/Cargo.toml", manifest), ["crates/types/Cargo.toml:0 purity"]);
}

#[test]
fn code_for_tests_is_known_wherever_it_stands() {
    let body = format!("{HEAD}use std::time::Instant;\n");
    let mut tree = sound();
    tree.push(("crates/types/src/name.rs".into(), format!("{HEAD}#[cfg(test)]\nmod tests;\nfn f() {{}}\n")));
    tree.push(("crates/types/src/name/tests.rs".into(), body.clone()));
    tree.push(("crates/types/tests/laws/clocks.rs".into(), body.clone()));
    assert!(check(&tree).is_empty(), "{:?}", check(&tree));
    tree.push(("crates/types/src/name/clocks.rs".into(), body));
    assert_eq!(check(&tree).len(), 1);
    let after = "#[cfg(test)]\nuse a::b;\nuse std::time::Instant;\n";
    caught("crates/types/src/name.rs", after, "purity", &[6]);
}

#[test]
fn unsafe_code_in_the_wrong_place_or_without_a_reason_is_caught() {
    caught("src/cli/mod.rs", "fn f() { unsafe { g() } }\n", "unsafe", &[4]);
    caught("src/sys/net.rs", "fn f() {\n    let a = 1;\n    unsafe { g() };\n}\n", "unsafe", &[6]);
    let far = "// SAFETY: of another.\nfn g() {}\nfn f() {\n    unsafe { g() };\n}\n";
    caught("src/sys/net.rs", far, "unsafe", &[7]);
    caught("src/sys/net.rs", "fn f() {\n    // SAFETY: g is safe.\n    unsafe { g() };\n}\n", "unsafe", &[]);
    assert_eq!(planted("crates/types/src/lib.rs", HEAD), ["crates/types/src/lib.rs:0 unsafe"]);
}

#[test]
fn a_missing_or_endless_head_is_caught() {
    let path = "src/cli/mod.rs";
    assert_eq!(planted(path, "fn f() {}\n"), ["src/cli/mod.rs:1 head"]);
    assert_eq!(planted(path, "//! One.\n//! Two.\nfn f() {}\n"), ["src/cli/mod.rs:1 head"]);
    assert_eq!(planted(path, &"//! Too much.\n".repeat(13)), ["src/cli/mod.rs:1 head"]);
    assert!(planted(path, &"//! Enough.\n".repeat(12)).is_empty());
    assert!(planted("src/lib.rs", &"//! The front page.\n".repeat(13)).is_empty());
}

#[test]
fn what_is_too_long_is_caught() {
    let path = "src/cli/mod.rs";
    caught(path, &"fn f() {}\n".repeat(497), "long file", &[]);
    caught(path, &"fn f() {}\n".repeat(498), "long file", &[0]);
    caught(path, &format!("// {}\n// {}\n", "x".repeat(107), "x".repeat(108)), "long line", &[5]);
    let function = |lines: usize| format!("fn f(a: [u8; 4]) -> u8 {{\n{}}}\n", "    g('{');\n".repeat(lines));
    caught(path, &function(68), "long function", &[]);
    caught(path, &function(69), "long function", &[4]);
}

#[test]
fn unfinished_work_is_caught() {
    let path = "src/cli/mod.rs";
    caught(path, concat!("// TO", "DO: later\n"), "unfinished", &[4]);
    caught(path, concat!("/* FIX", "ME */ fn f() {}\n"), "unfinished", &[4]);
    caught(path, concat!("// TO", "DO(#12): later\n"), "unfinished", &[]);
    caught(path, "fn f() { todo!() }\n", "unfinished", &[4]);
    caught(path, "fn f() { unimplemented!(\"x\") }\n", "unfinished", &[4]);
    caught(path, "fn f() { dbg!(x); }\n", "unfinished", &[4]);
}

#[test]
fn a_name_that_says_nothing_is_caught() {
    for path in ["src/cli/util.rs", "src/cli/path_helpers.rs", "src/cli/misc/mod.rs"] {
        caught(path, "", "name", &[0]);
    }
    caught("src/cli/utilisation.rs", "", "name", &[]);
}

#[test]
fn a_path_of_somebodys_machine_is_caught() {
    let line = concat!("see /wo", "rk/notes for more\n");
    assert_eq!(planted("docs/testing.md", line), ["docs/testing.md:1 workplace"]);
    caught("src/cli/mod.rs", concat!("const A: &str = \"/tmp/br", "ief/x\";\n"), "workplace", &[4]);
}

#[test]
fn a_lock_that_grew_too_large_is_caught() {
    let lock = |count: usize| "[[package]]\nname = \"x\"\nsource = \"r\"\n".repeat(count);
    let own = "[[package]]\nname = \"types\"\n";
    assert!(planted("Cargo.lock", &format!("{own}{}", lock(150))).is_empty());
    assert_eq!(planted("Cargo.lock", &lock(151)), ["Cargo.lock:0 lock"]);
}

#[test]
fn words_in_strings_and_comments_are_not_code() {
    let text = r##"/* a /* b */ unsafe */ const A: &str = r#"unsafe " std::fs"#; // unsafe
        const B: char = '"'; const C: u8 = b'\''; const D: &str = "\" unsafe"; fn f<'a>(x: &'a str) {}"##;
    let source = Source::parse("x.rs", text);
    assert!(source.tokens.iter().all(|token| token.text != "unsafe" && token.text != "fs"), "{source:?}");
    assert!(source.tokens.iter().any(|token| token.text == "str"));
    assert!(source.comments[0].contains("// unsafe") && source.comments[1].is_empty());
}

#[test]
fn paths_are_spelt_out_and_resolved() {
    let text = "use a::{b, c::{self, d as e}, super_};\n\
                mod m { use super::super::k::v; fn f() { self::g(); x::<u8>(); } }";
    let source = Source::parse("src/one/two.rs", text);
    let found: Vec<String> = named_paths(&source).iter().map(|path| path.resolved().join("::")).collect();
    let wanted = ["a::b", "a::c::self", "a::c::d", "a::super_", "crate::one::k::v", "crate::one::two::m::g"];
    assert_eq!(found, wanted);
}
