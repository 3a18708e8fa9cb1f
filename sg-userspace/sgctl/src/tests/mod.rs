//! Command lines in; output and exit code out.

mod afterwards;
mod arguments;
mod client;
mod observe;
mod operations;
mod server;
mod whole;

use std::io::Write as _;

use sg_model::text::{escaped_lines, is_invisible};
use sg_oracle::Oracle;
use sg_probe::Reader;
use tempfile::NamedTempFile;

use super::{Args, commands::check::write_explanation, failure::Failure};

const POLICY: &str = "
groups:
  web:
    ingress:
      - { id: ssh, protocol: tcp, ports: 22, remote: 10.0.0.0/8, description: from inside }
      - { id: no-scan, action: drop, protocol: all, remote: 198.51.100.0/24 }
      - { action: drop, priority: 9, protocol: all }
nics:
  - { device: no-such-dev0, addresses: [10.0.0.5], groups: [web] }
";
const SSH: &str = r#"{"nic":"no-such-dev0","direction":"ingress","protocol":"tcp","src":"10.9.9.9","dst":"10.0.0.5","dport":22}"#;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Output and exit code, with the error if there is one.
fn run(words: &[&str]) -> (String, u8, String) {
    let mut out = Vec::new();
    let done = match Args::parse_from_words([&["sgctl"], words].concat()) {
        Ok(args) => args.run(&mut out),
        Err(error) => {
            return (String::new(), u8::try_from(error.exit_code()).unwrap(), error.to_string());
        }
    };
    let (code, error) = match done {
        Ok(()) => (0, String::new()),
        Err(failure) => {
            let code = failure.code();
            let error = match failure {
                Failure::Input(error)
                | Failure::NotFound(error)
                | Failure::Guarded(error)
                | Failure::Other(error) => {
                    format!("{error:#}")
                }
                Failure::BrokenPipe | Failure::Different => String::new(),
            };
            (code, error)
        }
    };
    (String::from_utf8(out).unwrap(), code, error)
}

fn check(policy: &str, rest: &[&str]) -> (String, u8, String) {
    let policy = file(policy);
    let [what, subject, flags @ ..] = rest else { panic!("check what?") };
    let common =
        ["check", what, subject, "--engine", "oracle", "--json", "-f", policy.path().to_str().unwrap()];
    run(&[&common[..], flags].concat())
}

const PACKET: [&str; 6] = ["packet", "no-such-dev0", "--protocol", "TCP", "--remote", "10.9.9.9"];
const ACCEPTED: &str = "{\"verdict\":\"accept\",\"reason\":\"rule\",\"group\":\"web\",\"rule\":\"ssh\"}\n";

#[test]
fn a_packet_or_a_file_of_packets() {
    let expected = (ACCEPTED.to_owned(), 0, String::new());
    assert_eq!(check(POLICY, &[&PACKET[..], &["--port", "ssh"]].concat()), expected);
    let probes = file(&format!("{SSH}\n{SSH}\n"));
    let (results, code, _) = check(POLICY, &["probes", probes.path().to_str().unwrap()]);
    assert_eq!((results, code), (ACCEPTED.repeat(2), 0));
}

#[test]
fn bad_input_is_2() {
    let probes = file(&format!("{SSH}\n{{}}\n"));
    let (results, code, error) = check(POLICY, &["probes", probes.path().to_str().unwrap()]);
    assert_eq!((results.as_str(), code), (ACCEPTED, 2));
    assert!(error.ends_with(":2: column 2: missing field `nic`"), "{error}");

    let missing_port = &PACKET[..];
    let no_remote = &[&PACKET[..4], &["--port", "22"]].concat();
    let all = &["packet", "no-such-dev0", "--protocol", "all", "--remote", "10.9.9.9"];
    let no_address = &["packet", "no-such-dev0", "--protocol", "gre", "--remote", "2001:db8::1"];
    let bad_port = &[&PACKET[..], &["--port", "65536"]].concat();
    for (words, message) in [
        (missing_port, "tcp needs --port"),
        (no_remote, "--remote"),
        (all, "one protocol"),
        (no_address, "has no IPv6 address in the document or on this host: give --local"),
        (bad_port, "0 to 65535"),
        (&["probes", "/no/such/file"], "/no/such/file: No such file"),
    ] {
        let (_, code, error) = check(POLICY, words);
        assert_eq!(code, 2, "{words:?}");
        assert!(error.contains(message), "{words:?}: {error}");
    }
    let columns = [
        "packet",
        "no-such-dev0",
        "--protocol",
        "gre",
        "--remote",
        "10.9.9.9",
        "-f",
        "/no",
        "--columns",
        "nic",
    ];
    let (_, code, error) = run(&[&["check"][..], &columns].concat());
    assert!(code == 2 && error.contains("prints none"), "{error}");
    let (_, code, _) = check("groups: {", &[&PACKET[..], &["--port", "22"]].concat());
    assert_eq!(code, 2);
    let (_, code, _) = check(&POLICY.replace("groups: [web]", "groups: [db]"), &["probes", "-"]);
    assert_eq!(code, 2);
}

#[test]
fn validate_says_what_a_document_comes_to() {
    let policy = file(POLICY);
    let (out, code, _) = run(&["validate", "-f", policy.path().to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(out.contains(": 1 group, 3 rules, 1 NIC\n"), "{out}");
    assert!(out.contains("NIC no-such-dev0: host; groups web; 10.0.0.5; image "), "{out}");
    assert!(out.contains("no such device yet"), "{out}");
    assert_eq!(run(&["validate", "-f", "/no/such/file"]).1, 2);
}

#[test]
fn validate_warns_of_rules_that_are_for_nothing_or_let_many_in() {
    let policy = file(
        "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: low, protocol: tcp, ports: 22, remote: 0.0.0.0/1 }
      - { id: high, protocol: tcp, ports: 22, remote: 128.0.0.0/1 }
      - { id: late, priority: 2, protocol: tcp, ports: 22, remote: 0.0.0.0/0, action: drop }
      - { id: plain, priority: 3, protocol: udp, remote: 192.0.2.0/24, action: drop }
nics:
  - { device: no-such-dev0, addresses: [10.0.0.5], groups: [web] }
",
    );
    let (out, code, _) = run(&["validate", "-f", policy.path().to_str().unwrap(), "--json"]);
    assert_eq!(code, 0);
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    let warnings: Vec<String> = summary["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| {
            let text = |key: &str| warning[key].as_str().unwrap().to_owned();
            format!("{} {}: {}", warning["line"], text("path"), text("message"))
        })
        .collect();
    assert_eq!(
        warnings,
        [
            "8 groups.web.ingress[2]: this rule never decides: rule low of group web, rule high of group web are asked first, \
             match all that this one matches, and do the opposite with some of it",
            "6 groups.web.ingress[0]: 2109734912 public IPv4 addresses may connect to SSH",
            "7 groups.web.ingress[1]: 2146304000 public IPv4 addresses may connect to SSH",
        ]
    );
}

#[test]
fn a_document_with_a_test_that_fails_is_not_valid() {
    let with = |test: &str| {
        file(&format!("{POLICY}tests:\n  - {{ nic: no-such-dev0, direction: ingress, {test} }}\n"))
    };
    let holds = with("from: 10.0.0.9, protocol: tcp, ports: 9999, expect: drop");
    assert_eq!(run(&["validate", "-f", holds.path().to_str().unwrap()]).1, 0);
    let fails = with("protocol: tcp, ports: \"22,9999\", expect: accept");
    let fails = fails.path().to_str().unwrap();
    let (_, code, error) = run(&["validate", "-f", fails]);
    assert_eq!(code, 2);
    assert!(error.contains("tests[0]: this test fails: expected accept, but {"), "{error}");
    // The packet is shown as `check` reads it, which a failing test does not keep from judging.
    let packet = &error[error.find('{').unwrap()..=error.find('}').unwrap()];
    let probe = file(packet);
    let (out, code, error) = run(&["check", "probes", probe.path().to_str().unwrap(), "-f", fails, "--json"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("\"verdict\":\"drop\""), "{out}");
}

#[test]
fn a_search_finds_its_packets_and_an_exit_code() {
    let policy = file(POLICY);
    let policy = policy.path().to_str().unwrap();
    let search = |words: &[&str]| run(&[&["search", "-f", policy], words].concat());
    let (out, code, error) = search(&["--direction", "ingress", "--protocol", "tcp", "--port", "9999"]);
    assert_eq!((out.as_str(), code, error.as_str()), ("no packet\n", 0, ""));
    let (out, code, _) = search(&["--nic", "no-such-dev0", "--direction", "ingress", "--port", "22"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("packets of tcp to port 22"), "{out}");
    let (out, code, _) = search(&["--verdict", "accept,drop,reject", "--json", "--all"]);
    assert_eq!(code, 1);
    for line in out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let sample = file(&line["sample"].to_string());
        let (out, _, error) =
            run(&["check", "probes", sample.path().to_str().unwrap(), "-f", policy, "--json"]);
        let verdict: serde_json::Value = serde_json::from_str(&out).expect(&error);
        for field in ["verdict", "group", "rule"] {
            assert_eq!(verdict[field], line[field], "{field} of {line}");
        }
    }
    assert_eq!(search(&["--nic", "eth7"]).1, 3);
    assert_eq!(search(&["--remote", "group:nobody"]).1, 3);
    assert_eq!(search(&["--protocol", "gre", "--port", "22"]).1, 2);
    assert_eq!(search(&["--port", "22", "--icmp-type", "8"]).1, 2);
    assert_eq!(search(&["-o", "yaml"]).1, 2);
    // What can find nothing does not say that there is nothing.
    for idle in
        [&["--rule", "sssh"][..], &["--family", "6", "--remote", "10.0.0.0/8"], &["--not-remote", "any"]]
    {
        let (out, code, error) = search(idle);
        assert_eq!((out.as_str(), code), ("", 2), "{idle:?}");
        assert!(error.contains("nothing can be found"), "{error}");
    }
    let (_, code, error) = search(&["--remote", "::ffff:203.0.113.5"]);
    assert!(code == 2 && error.contains("write 203.0.113.5"), "{error}");
}

#[test]
fn what_is_found_is_json_whatever_it_is_called() {
    let device = "a\u{9b}31m";
    let rules: Vec<String> =
        (0..25).map(|port| format!("{{ protocol: tcp, ports: {} }}", 2 * port)).collect();
    let rules = rules.join(", ");
    let policy = file(&format!(
        "groups: {{ g: {{ ingress: [{rules}] }} }}\nnics: [{{ device: \"a\\u009b31m\", addresses: [10.0.0.5], groups: [g] }}]\n"
    ));
    let policy = policy.path().to_str().unwrap();
    let (out, code, _) =
        run(&["search", "-f", policy, "--direction", "ingress", "--verdict", "drop,accept", "--json"]);
    assert_eq!(code, 1);
    for line in out.lines() {
        assert!(!line.contains('\u{9b}'), "{line}");
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert_eq!((&line["nic"], &line["sample"]["nic"]), (&device.into(), &device.into()));
    }
    assert_eq!(out.lines().count(), 20);
}

#[test]
fn a_difference_is_its_packets_and_an_exit_code() {
    let (old, new) = (file(POLICY), file(&POLICY.replace("ports: 22", "ports: 23")));
    let [old, new] = [&old, &new].map(|file| file.path().to_str().unwrap());
    let (out, code, _) = run(&["diff", old, old]);
    assert_eq!((out.as_str(), code), ("every packet is judged alike\n", 0));
    let (out, code, error) = run(&["diff", old, new]);
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    assert!(out.contains("packets of tcp to port 22") && out.contains("packets of tcp to port 23"), "{out}");
    let (out, code, _) = run(&["diff", old, new, "--json", "--all"]);
    assert_eq!(code, 1);
    for line in out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        // Its sample is a packet that `check` judges under both.
        let sample = file(&line["sample"].to_string());
        let sample = sample.path().to_str().unwrap();
        for (policy, outcome) in [(old, "before"), (new, "after")] {
            let (out, code, error) = run(&["check", "probes", sample, "-f", policy, "--json"]);
            assert_eq!(code, 0, "{error}");
            let verdict: serde_json::Value = serde_json::from_str(&out).unwrap();
            for field in ["verdict", "group", "rule"] {
                assert_eq!(verdict[field], line[outcome][field], "{field} {outcome} of {line}");
            }
        }
    }
    assert_eq!(run(&["diff", old, "/no/such/file"]).1, 2);
    assert_eq!(run(&["diff", old, new, "--nic", "eth7"]).1, 3);
    assert_eq!(run(&["diff", "-", "-"]).1, 2);
    assert_eq!(run(&["diff", old, new, "-o", "yaml"]).1, 2);
}

#[test]
fn programs_get_the_warnings_with_the_summary() {
    let policy = file(
        "groups:\n  web:\n    ingress:\n      - { protocol: all }\n      - { protocol: tcp, ports: 22 }\n",
    );
    let path = policy.path().to_str().unwrap();
    let (out, code, _) = run(&["validate", "-f", path, "--json"]);
    assert_eq!(code, 0);
    let summary: serde_json::Value = serde_json::from_str(&out).unwrap();
    let shadowed =
        summary["warnings"].as_array().unwrap().iter().find(|warning| warning["line"] == 5).unwrap();
    assert_eq!((&shadowed["file"], &shadowed["column"]), (&path.into(), &9.into()), "{out}");
    assert!(shadowed["path"].as_str().unwrap().starts_with("groups.web.ingress[1]"), "{out}");
    assert!(shadowed["message"].as_str().is_some_and(|message| !message.is_empty()), "{out}");
}

/// A name with control characters is refused, and the message has none of them.
#[test]
fn nothing_that_a_terminal_obeys_gets_there() {
    for name in ["we\\e[2Jb", "we\\u009bb", "we\\u202eb", "we\\u200bb"] {
        let policy = file(&POLICY.replace("web", &format!("\"{name}\"")));
        let path = policy.path().to_str().unwrap();
        for words in
            [vec!["validate", "-f", path], [&["check"][..], &PACKET, &["--port", "22", "-f", path]].concat()]
        {
            let (out, code, error) = run(&words);
            assert_eq!((out.as_str(), code), ("", 2), "{words:?}");
            assert!(error.contains("is invisible or a control character"), "{error}");
            assert!(!error.lines().any(|line| line.chars().any(is_invisible)), "{error:?}");
        }
    }
    // Where they are accepted, as in a path, they are escaped.
    let missing = run(&["validate", "-f", "/no/such\u{1b}[2J\u{9b}"]);
    assert!(escaped_lines(&missing.2).contains("such\\u{1b}[2J\\u{9b}"), "{}", missing.2);
}

#[test]
fn an_explanation_for_people() {
    let policy = sg_document::parse("policy", POLICY.as_bytes()).unwrap().policy;
    let probe = Reader::new(&policy).probe(SSH.as_bytes()).unwrap();
    let mut out = Vec::new();
    write_explanation(&policy, &probe, &Oracle::new(&policy).explain(&probe), &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "no-such-dev0 ingress tcp 10.9.9.9:40000 -> 10.0.0.5:22
accept by rule ssh of group web
  from inside
evaluated before:
  members of web: 10.9.9.9 is none
  no-scan of web (drop, priority 1): remote: the packet's is 10.9.9.9
shadowed (they match this packet too, but are never reached):
  web/ingress/2 of web (drop, priority 9)
"
    );
}

#[test]
fn an_expected_verdict_that_is_not_found_is_1() {
    let expect = |verdict, port| {
        let policy = file(POLICY);
        let path = policy.path().to_str().unwrap();
        let rest = ["--port", port, "-f", path, "--expect", verdict, "-o", "name"];
        run(&[&["check"][..], &PACKET, &rest].concat())
    };
    assert_eq!(expect("accept", "22").1, 0);
    let (out, code, error) = expect("accept", "23");
    assert_eq!((code, error.as_str()), (1, "expected accept, but the verdict is drop"), "{out}");
    assert_eq!(out, "drop\n", "the verdict is printed");
    assert_eq!(expect("reject", "23").1, 1);
    assert_eq!(expect("drop", "23").1, 0);
}

/// A NIC that the document does not have, or a NIC that is not in force.
#[test]
fn what_does_not_exist_is_3() {
    let other = ["packet", "eth9", "--protocol", "gre", "--remote", "10.9.9.9"];
    let (_, code, error) = check(POLICY, &other);
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("no-such-dev0"), "{error}");
}
