//! Lint, held against the oracle and against the exact difference.

use std::{collections::BTreeSet, time::Instant};

use super::{
    firewall::{document, packets, rule},
    *,
};
use crate::{By, Finding, Scope, What, lint, lint_all};

fn later() -> Instant {
    Instant::now() + Duration::from_mins(1)
}

fn ids(findings: &[Finding<'_>], is_of: impl Fn(&What<'_>) -> bool) -> BTreeSet<String> {
    findings.iter().filter(|finding| is_of(&finding.what)).map(|finding| finding.rule.to_owned()).collect()
}

#[test]
fn exactly_the_rules_that_are_for_nothing_are_found() {
    let (mut covered, mut dispensable) = (0, 0);
    for seed in 0..30 {
        let mut random = Rng::with_seed(seed);
        let rules: Vec<(usize, String)> =
            (0..random.usize(5..30)).map(|id| (id, rule(&mut random, seed % 2 == 0))).collect();
        let text = document(&rules);
        let before = policy(&text);
        let findings = lint(&before, &before.nics()[0], Scope::Nic, later());
        assert!(!findings.iter().any(|finding| finding.what == What::Undecided));

        // The oracle: who decides something, of all packets that there are.
        let mut oracle = Oracle::new(&before);
        let decide: BTreeSet<String> = packets()
            .filter_map(|probe| oracle.judge(&probe).written(&before).rule.map(str::to_owned))
            .collect();
        let never: BTreeSet<String> =
            rules.iter().map(|(id, _)| format!("r{id}")).filter(|id| !decide.contains(id)).collect();
        let found = ids(&findings, |what| matches!(what, What::Covered(_)));
        assert_eq!(found, never, "seed {seed}\n{text}");
        covered += found.len();

        // Without what was found, everything is judged alike, also if only one of it goes; without any other rule, something is not.
        let dispensables = ids(&findings, |what| matches!(what, What::Dispensable(_)));
        dispensable += dispensables.len();
        let is_left = |(id, _): &&(usize, String)| {
            let id = format!("r{id}");
            !found.contains(&id) && !dispensables.contains(&id)
        };
        let left: Vec<_> = rules.iter().filter(is_left).cloned().collect();
        let short = document(&left);
        let after = policy(&short);
        assert!(compare(&before, &after, Options::default()).lines.is_empty(), "seed {seed}\n{text}");
        let is_needed = |all: &Policy, rules: &[(usize, String)], id: usize| {
            let fewer: Vec<_> = rules.iter().filter(|(other, _)| *other != id).cloned().collect();
            let fewer = policy(&document(&fewer));
            !compare(all, &fewer, Options::default()).lines.is_empty()
        };
        for (id, rule) in &rules {
            let alone = is_needed(&before, &rules, *id);
            if left.iter().any(|(other, _)| other == id) {
                assert!(alone || is_needed(&after, &left, *id), "seed {seed}: r{id} {rule} of\n{short}");
            } else {
                assert!(!alone, "seed {seed}: r{id} {rule} of\n{text}");
            }
        }
    }
    assert!(covered > 40 && dispensable > 20, "{covered} {dispensable}");
}

/// The findings about rules of one group, in words.
fn words(rules: &str, scope: Scope) -> Vec<String> {
    let rules: Vec<(usize, String)> = rules.lines().map(|rule| rule.trim().to_owned()).enumerate().collect();
    let policy = policy(&document(&rules));
    let findings = lint(&policy, &policy.nics()[0], scope, later());
    let words = findings.iter().map(|finding| format!("{}: {}", finding.rule, finding.words(AS_WRITTEN)));
    words.collect()
}

#[test]
fn it_says_who_decides_instead() {
    let text = "remote: 10.0.0.0/9, protocol: tcp, action: accept
        remote: 10.128.0.0/9, protocol: tcp, action: accept
        remote: 10.0.0.0/8, protocol: tcp, action: accept, priority: 2
        remote: 10.3.0.0/16, protocol: tcp, ports: 22, action: drop, priority: 3
        remote: 10.4.0.0/16, protocol: all, action: accept, priority: 4
        remote: 10.0.0.0/8, protocol: all, action: accept, priority: 5";
    let alone = [
        "r2: this rule never decides: rule r0 of group all, rule r1 of group all are asked first, match all that this one matches, and do the same",
        "r3: this rule never decides: rule r0 of group all is asked first, matches all that this one matches, and does the opposite",
    ];
    assert_eq!(words(text, Scope::Groups), alone);
    let with_later = [
        "r0: this rule is not needed: without it, rule r4 of group all, rule r5 of group all would do the same with every packet that it decides",
        "r1: this rule is not needed: without it, rule r5 of group all would do the same with every packet that it decides",
        "r4: this rule is not needed: without it, rule r5 of group all would do the same with every packet that it decides",
    ];
    assert_eq!(words(text, Scope::Nic), [&alone[..], &with_later].concat());
    let default = "remote: 10.0.0.0/8, protocol: tcp, action: drop";
    assert!(words(default, Scope::Groups).is_empty());
    assert_eq!(
        words(default, Scope::Nic),
        [
            "r0: this rule is not needed: without it, default would do the same with every packet that it decides"
        ]
    );
}

#[test]
fn addresses_are_counted_not_read() {
    let halves = "remote: 0.0.0.0/1, protocol: tcp, ports: 22, action: accept
        remote: 128.0.0.0/1, protocol: tcp, ports: 22, action: accept";
    assert_eq!(
        words(halves, Scope::Groups),
        [
            "r0: 2109734912 public IPv4 addresses may connect to SSH",
            "r1: 2146304000 public IPv4 addresses may connect to SSH"
        ]
    );
    let all = "remote: any, protocol: tcp, ports: \"22,80,3389\", action: accept";
    assert_eq!(words(all, Scope::Groups), ["r0: everybody may connect to SSH, RDP"]);
    let ports = "remote: \"::/0\", protocol: udp, action: accept";
    assert_eq!(words(ports, Scope::Groups), ["r0: everybody may connect to every port"]);
    // A /8 is not many, two are.
    let eighth = "remote: 11.0.0.0/8, protocol: tcp, ports: 22, action: accept";
    assert!(words(eighth, Scope::Groups).is_empty());
    let two = format!("{eighth}\nremote: 12.0.0.0/8, protocol: tcp, ports: \"1-100\", action: accept");
    assert_eq!(
        words(&two, Scope::Groups),
        [
            "r0: 33554432 public IPv4 addresses may connect to SSH, together with rule r1 of group all",
            "r1: 33554432 public IPv4 addresses may connect to SSH, together with rule r0 of group all"
        ]
    );
    // What is dropped first is not let in, and private addresses are not the internet.
    let dropped = "remote: 0.0.0.0/1, protocol: tcp, action: drop
        remote: 128.0.0.0/1, protocol: tcp, ports: 1-30, action: drop
        remote: any, protocol: tcp, ports: 22, action: accept, priority: 2";
    let dropped = words(dropped, Scope::Groups);
    assert_eq!(dropped, ["r2: everybody may connect to SSH"], "over IPv6");
    let private = "remote: 10.0.0.0/8, protocol: tcp, ports: 22, action: accept
        remote: 172.16.0.0/12, protocol: tcp, ports: 22, action: accept
        remote: 192.168.0.0/16, protocol: tcp, ports: 22, action: accept
        remote: \"fd00::/8\", protocol: tcp, ports: 22, action: accept
        remote: any, protocol: tcp, ports: \"80,443\", action: accept";
    assert!(words(private, Scope::Groups).is_empty());
    let dropped = "remote: any, protocol: tcp, ports: 22, action: drop
        remote: any, protocol: tcp, action: accept, priority: 2";
    assert_eq!(words(dropped, Scope::Groups), ["r1: everybody may connect to every port"]);
}

#[test]
fn inner_access_decides_before_rules() {
    let text = "
groups:
  web:
    ingress:
      - { id: web, protocol: tcp, ports: 80, remote: { group: web } }
      - { id: nobody, protocol: tcp, ports: 80, remote: { group: none } }
  none: {}
members: { web: [10.0.0.7] }
nics:
  - { device: eth0, addresses: [10.0.0.5], groups: [web] }
";
    let policy = policy(text);
    let findings = lint(&policy, &policy.nics()[0], Scope::Groups, later());
    assert_eq!(findings.len(), 1, "what matches nobody is not found: {findings:?}");
    assert_eq!((findings[0].rule, findings[0].others().collect::<Vec<_>>()), ("web", vec![By::Group("web")]));
    let without_time = lint(&policy, &policy.nics()[0], Scope::Nic, Instant::now());
    assert!(without_time.iter().any(|finding| finding.what == What::Undecided), "{without_time:?}");
}

#[test]
fn of_all_nics_only_what_holds_on_each_is_found() {
    let text = |third: &str| {
        format!(
            "
precedence: sequence
groups:
  web:
    inner_access: drop
    ingress:
      - {{ id: ssh, protocol: tcp, ports: 22, remote: 192.0.2.0/24, action: drop }}
  all:
    inner_access: drop
    ingress:
      - {{ id: any, protocol: all, remote: 192.0.2.0/24 }}
nics:
  - {{ device: eth0, addresses: [10.0.0.5], groups: [all, web] }}
  - {{ device: eth1, addresses: [10.0.0.6], groups: [all, web] }}
  - {{ device: eth2, addresses: [10.0.0.7], groups: [{third}] }}
"
        )
    };
    let found = |third| {
        let policy = policy(&text(third));
        let findings = lint_all(&policy, later());
        findings.iter().map(|finding| (finding.rule.to_owned(), finding.kind())).collect::<Vec<_>>()
    };
    assert_eq!(found("all"), [("ssh".to_owned(), crate::Kind::Shadowed)]);
    assert_eq!(found("web, all"), []);
}
