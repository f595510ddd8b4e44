//! Laws of the configuration as a whole: who wins, what is refused and with which words.
//!
//! The words of a refusal are part of the interface, so they are compared in full where they are short.
//! Sources are passed in; no test reads or changes the environment of the process.

use super::*;

fn load(file: &str, environment: &[(&str, &str)], flags: &[FlagValue]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_sources(Some((Path::new("millrace.toml"), file)), environment, flags)
}

fn complaint(file: &str, environment: &[(&str, &str)]) -> String {
    load(file, environment, &[]).expect_err("this configuration is refused").to_string()
}

fn http_flag(value: &str) -> FlagValue {
    FlagValue { dotted: "http.addr", flag: "--http", value: value.to_owned() }
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let file = "[http]\naddr = \"127.0.0.1:1\"\n";
    let env: &[(&str, &str)] = &[("MILLRACE_HTTP__ADDR", "127.0.0.1:2")];
    let port = |config: Result<Config, ConfigError>| config.expect("sound").http.addr.expect("on").port();
    assert_eq!(port(load("", &[], &[])), 8080);
    assert_eq!(port(load(file, &[], &[])), 1);
    assert_eq!(port(load(file, env, &[])), 2);
    assert_eq!(port(load(file, env, &[http_flag("127.0.0.1:3")])), 3);
}

#[test]
fn every_value_remembers_where_it_came_from() {
    let file = "[limits]\ntail_events = 7\npatch_retries = 1\n";
    let config =
        load(file, &[("MILLRACE_LIMITS__PATCH_RETRIES", "2")], &[http_flag("[::1]:1")]).expect("sound");
    let places = ["limits.tail_events", "limits.patch_retries", "http.addr", "log.level"]
        .map(|key| config.origin(key).to_string());
    let expected =
        ["millrace.toml:2", "environment MILLRACE_LIMITS__PATCH_RETRIES", "flag --http", "default"];
    assert_eq!(places, expected);
    assert_eq!((config.limits.tail_events, config.limits.patch_retries), (7, 2));
}

#[test]
fn every_key_can_be_set_in_the_file_and_in_the_environment() {
    for key in keys::keys() {
        let shown = Config::default().show(key);
        let file = format!("[{}]\n{} = {shown}\n", key.section(), key.name());
        let config = load(&file, &[], &[]).unwrap_or_else(|error| panic!("{}: {error}", key.dotted));
        assert_eq!(config.origin(key.dotted).word(), "file", "{}", key.dotted);
        let variable = key.variable();
        let words = shown.trim_matches('"');
        let config =
            load("", &[(&variable, words)], &[]).unwrap_or_else(|error| panic!("{variable}: {error}"));
        assert_eq!(config.origin(key.dotted).word(), "env", "{variable}");
    }
}

#[test]
fn an_unknown_key_names_its_place_and_the_nearest_key() {
    assert_eq!(
        complaint("[limits]\n\nbody_byte_max = 1\n", &[]),
        "millrace.toml:3: unknown key limits.body_byte_max; the nearest that exists is limits.body_bytes_max"
    );
    assert_eq!(
        complaint("", &[("MILLRACE_LIMITS__BODY_BYTE_MAX", "1")]),
        "environment MILLRACE_LIMITS__BODY_BYTE_MAX: unknown key MILLRACE_LIMITS__BODY_BYTE_MAX; \
         the nearest that exists is MILLRACE_LIMITS__BODY_BYTES_MAX"
    );
    assert!(complaint("addr = 1\n", &[]).contains("nearest that exists is http.addr"));
    assert!(complaint("[htpp]\n", &[]).contains("unknown key htpp"));
    assert!(complaint("[http.addr]\nport = 1\n", &[]).contains("http.addr was given a value of type table"));
}

#[test]
fn a_variable_with_one_underscore_too_few_is_a_mistake_and_a_foreign_one_is_not() {
    assert!(
        complaint("", &[("MILLRACE_HTTP_ADDR", "x")]).contains("nearest that exists is MILLRACE_HTTP__ADDR")
    );
    let foreign: &[(&str, &str)] = &[
        ("MILLRACE_SERVICE_HOST", "10.0.0.1"),
        ("MILLRACE_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("PATH", "/bin"),
    ];
    assert_eq!(load("", foreign, &[]), Ok(Config::default()));
}

#[test]
fn a_wrong_type_says_what_was_given_and_what_is_expected() {
    assert_eq!(
        complaint("[limits]\nbody_bytes_max = true\n", &[]),
        "millrace.toml:2: limits.body_bytes_max was given the boolean true, \
         expected a size such as \"8MiB\", or whole bytes"
    );
    assert_eq!(
        complaint("", &[("MILLRACE_SERVER__DEV", "maybe")]),
        "environment MILLRACE_SERVER__DEV: server.dev was given \"maybe\", expected true or false"
    );
    assert!(complaint("[server]\ncores = [0, 0]\n", &[]).contains("was given the list [0, 0]"));
    assert!(complaint("[limits]\ntail_events = 99999999999999999999\n", &[]).contains("more than 64 bits"));
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    let complaint = complaint("[server]\ndata = \n", &[]);
    assert!(complaint.starts_with("millrace.toml:2: not TOML: "), "{complaint}");
}

#[test]
fn all_problems_are_told_at_once() {
    let error = load("[server]\ndaat = 1\n[http]\naddr = 3\n", &[("MILLRACE_X__Y", "1")], &[])
        .expect_err("three faults");
    assert_eq!(error.problems.len(), 3, "{error}");
}

#[test]
fn limits_that_contradict_each_other_are_refused_with_their_origins() {
    let complaint = complaint("[limits]\nbody_bytes_max = \"64MiB\"\n", &[]);
    assert!(complaint.contains("journal_file_bytes = \"16MiB\", default"), "{complaint}");
    assert!(complaint.contains("body_bytes_max = \"64MiB\", millrace.toml:2"), "{complaint}");
}

#[test]
fn the_effective_configuration_is_a_file_that_loads_to_the_same_values() {
    let file = "[server]\ndata = 'a \"b\" \\c'\ncores = [0, 1]\n[limits]\nhead_timeout_ms = \"1500ms\"\n";
    let config = load(file, &[("MILLRACE_SERVER__DEV", "true")], &[]).expect("sound");
    let printed = effective_toml(&config);
    assert!(printed.contains("head_timeout_ms = \"1500ms\""), "{printed}");
    let mut again = load(&printed, &[], &[]).expect("what was printed loads");
    again.origins = config.origins.clone();
    assert_eq!(again, config);
}

#[test]
fn the_json_form_has_one_object_for_every_key() {
    let json = effective_json(&Config::default());
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!(lines.len(), keys::keys().count());
    let addr = lines.iter().find(|line| line["key"] == "http.addr").expect("the key is there");
    assert_eq!((&addr["value"], &addr["origin"]), (&"127.0.0.1:8080".into(), &"default".into()));
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_with_its_path() {
    let error = Config::load(Some(Path::new("/nonexistent/m.toml")), [], &[]).expect_err("no such file");
    assert!(error.to_string().starts_with("/nonexistent/m.toml: cannot read the configuration: "), "{error}");
}

/// `MILLRACE_WRITE_DOCS=1 cargo test` writes the page anew.
#[test]
fn the_page_about_the_configuration_is_the_table_of_keys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("MILLRACE_WRITE_DOCS").is_some() {
        std::fs::write(path, reference_markdown()).expect("docs/ can be written");
    }
    let page = std::fs::read_to_string(path).expect("docs/configuration.md is there");
    assert_eq!(page, reference_markdown(), "run the test with MILLRACE_WRITE_DOCS=1");
}

#[test]
fn the_greatest_and_the_smallest_numbers_are_settings_or_errors_but_never_a_crash() {
    for key in keys::keys().filter(|key| key.section() == "limits") {
        for given in ["0", "1", "65536", "4294967295", "9223372036854775807", "18446744073709551615"] {
            let variable = (key.variable(), given.to_owned());
            if let Err(error) = Config::from_sources(None, [variable], &[]) {
                assert!(error.to_string().contains(key.name()), "{}: {error}", key.dotted);
            }
        }
    }
}
