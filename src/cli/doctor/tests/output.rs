//! What `doctor` prints, and its looking at the host that the tests run on.

use super::*;
use crate::cli::args::{Cli, DoctorArgs, Verb};
use crate::cli::doctor::{Seen, doctor, examine, host, judge, show};
use crate::cli::paint::Paint;
use crate::sys::preflight::{Finding, Severity};
use clap::Parser;

fn findings() -> Vec<Finding> {
    let finding =
        |severity, what: &str, mend: &str| Finding { severity, what: what.to_owned(), mend: mend.to_owned() };
    vec![
        finding(Severity::Refuse, "memlock is 64 KiB, needed are 512 KiB", "ulimit -l 512"),
        finding(Severity::Warn, "tmpfs", "use a disk"),
    ]
}

#[test]
fn a_finding_is_told_with_its_mend() {
    let expected = "mend  memlock is 64 KiB, needed are 512 KiB\n      ulimit -l 512\n\
                    warn  tmpfs\n      use a disk\n";
    assert_eq!(show::findings(&findings(), Paint::plain()), expected);
    assert_eq!(show::findings(&[], Paint::plain()), "ok  this host can run the server\n");
}

#[test]
fn the_json_form_has_an_object_a_line() {
    let json = show::findings_json(&findings());
    let first: serde_json::Value =
        serde_json::from_str(json.lines().next().expect("two lines")).expect("JSON");
    assert_eq!((&first["severity"], &first["mend"]), (&"mend".into(), &"ulimit -l 512".into()));
}

fn seen<'a>(knobs: &'a [Knob], sight: &Sight) -> Vec<Seen<'a>> {
    let judged = |knob: &Knob| knob.checks.iter().map(|check| judge::judge(check, sight)).collect();
    knobs.iter().map(|knob| Seen { knob, verdicts: judged(knob) }).collect()
}

#[test]
fn a_knob_that_could_be_better_has_the_command_below() {
    let mut sight = good_host();
    put(&mut sight, "/proc/sys/net/core/somaxconn", "128\n");
    sight.plan.is_on_network = false;
    let knobs = [knob("backlog"), knob("governor")];
    let expected = "\n\
        tune     backlog: net.core.somaxconn: 128; wanted: at least 1024\n         \
        sudo sysctl -w net.core.somaxconn=1024\n\
        n/a      backlog: net.ipv4.tcp_max_syn_backlog: clients come over loopback alone\n\
        ok       governor: governor: performance (cpu0, cpu1)\n\n\
        1 ok, 1 could be better (tune), 0 unknown, 1 do not matter here (n/a); why, and how to make a value \
        last:\nmillrace doctor --explain KNOB\n";
    assert_eq!(show::knobs(&seen(&knobs, &sight), Paint::plain()), expected);
}

#[test]
fn the_json_form_of_a_knob_has_the_same_words() {
    let knobs = [knob("backlog")];
    let mut sight = good_host();
    put(&mut sight, "/proc/sys/net/core/somaxconn", "128\n");
    let json = show::knobs_json(&seen(&knobs, &sight));
    let first: serde_json::Value =
        serde_json::from_str(json.lines().next().expect("two lines")).expect("JSON");
    let text = |key: &str| first[key].as_str().expect("a text").to_owned();
    assert_eq!(["knob", "status", "found"].map(text), ["backlog", "tune", "128"]);
    assert_eq!(text("set"), "sudo sysctl -w net.core.somaxconn=1024");
    assert!(text("keep").contains("/etc/sysctl.d/"));
}

#[test]
fn a_page_has_the_reason_the_value_the_commands_and_what_was_measured() {
    let knobs = [knob("huge-pages")];
    let page = show::pages(&seen(&knobs, &good_host()));
    for part in [
        "huge-pages: Transparent huge pages\n\nWith `always`",
        "  look     cat /sys/kernel/mm/transparent_hugepage/enabled\n",
        "  here     ok: madvise; wanted: madvise or never\n",
        "  set      echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled\n",
        "  keep     transparent_hugepage=madvise on the kernel's command line\n",
        "\nmeasured: not measured here\n",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
}

fn arguments(words: &[&str]) -> DoctorArgs {
    let words = ["millrace", "doctor"].iter().chain(words);
    let Verb::Doctor(args) = Cli::try_parse_from(words).expect("sound").verb else { panic!("another verb") };
    args
}

fn run(words: &[&str]) -> String {
    let mut out = Vec::new();
    doctor(&arguments(words), &mut out).expect("this host can run the server");
    String::from_utf8(out).expect("text")
}

#[test]
fn the_knobs_are_listed_explained_and_shown_on_this_host() {
    assert_eq!(run(&["--list"]).lines().count(), table::FILES.len());
    assert!(run(&["--explain", "backlog"]).starts_with("backlog: Connections that wait"));
    for line in run(&["--json"]).lines().chain(run(&["--explain", "disk", "--json"]).lines()) {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(value["severity"].is_string() != value["knob"].is_string(), "{value}");
    }
    let all = run(&[]);
    assert!(table::names().all(|name| all.contains(&format!("  {name}: "))), "{all}");
}

#[test]
fn a_knob_that_there_is_not_is_a_usage_error() {
    assert!(Cli::try_parse_from(["millrace", "doctor", "--explain", "luck"]).is_err());
    assert!(Cli::try_parse_from(["millrace", "doctor", "--explain", "disk", "--list"]).is_err());
}

#[test]
fn looking_takes_a_directory_that_does_not_exist_yet() {
    let plan = Plan { data_dir: "target/no/such/directory".into(), cores: vec![0], ..Plan::default() };
    let knobs = table::knobs();
    let sight = host::look(plan, &knobs);
    assert!(sight.plan.data_dir.is_absolute() && sight.plan.data_dir.exists());
    assert!(sight.mount().is_some(), "every directory lies in some mount");
    let limits = sight.reading("/proc/self/limits");
    assert!(matches!(limits, Reading::Text(text) if text.contains("Max open files")), "{limits:?}");
    let names = sight.reading("/proc/*/comm");
    assert!(matches!(names, Reading::Text(text) if !text.is_empty()), "this process at least has a name");
    let count: usize = examine(&knobs, sight.plan).iter().map(|seen| seen.verdicts.len()).sum();
    assert!(count >= knobs.iter().map(|knob| knob.checks.len()).sum::<usize>(), "each check says something");
}
