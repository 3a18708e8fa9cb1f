//! Commands against the real native API, on a unix socket and a service in memory: what people do in a console, from the first
//! VPC to the last deletion.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, mpsc},
    thread,
};

use serde_json::{Value, json};
use sg_agent::Instance;
use sg_api::{
    listen::{Access, Exposure, Limits, Listener},
    native::{self, Caller, Native},
    recording::Recording,
};
use sg_audit::TrailThread;
use sg_inspect::last_hits::LastHits;
use sg_model::DeviceFacts;
use sg_records::{NicId, project_id, uuid_of};
use sg_service::{
    Service,
    in_memory::{InForce, Remembers},
};
use tempfile::TempDir;
use tokio::{runtime::Builder, sync::oneshot};

use super::{file, run};

/// An agent without a kernel.
struct Agent {
    dir: TempDir,
    in_force: InForce,
    /// The address that serves the same over TCP.
    tcp: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Agent {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let in_force = InForce::default();
        let (service, _) = Service::start(Box::new(Remembers::default()), in_force.clone()).unwrap();
        let instance = Instance::new("cli-tests").unwrap();
        let thread = TrailThread::spawn(dir.path().join(sg_audit::FILE), sg_audit::ROTATION).unwrap();
        let recording = Recording { trail: thread.trail(), ..Recording::default() };
        let native = |caller| {
            let (service, instance) = (service.clone(), instance.clone());
            let hits = LastHits::of_nothing(&instance);
            native::router(Native {
                service: Some(service),
                instance,
                region: "local".into(),
                hits,
                observed: Arc::default(),
                places: Arc::default(),
                caller,
                attempts: Arc::default(),
                control: None,
                documents: None,
                recording: recording.clone(),
            })
        };
        let (by_socket, by_key) = (native(Caller::Socket), native(Caller::AccessKey));
        let socket = dir.path().join("api.sock");
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = Listener::unix(&socket, Access::default()).await.unwrap();
                let loopback = Exposure::Loopback { flag: "--expose" };
                let tcp = Listener::tcp("127.0.0.1:0".parse().unwrap(), loopback, "--listen").unwrap();
                tell.send(tcp.address().unwrap()).unwrap();
                let stopped = async { drop(stopped.await) };
                tokio::spawn(tcp.serve(by_key, Limits::default(), std::future::pending()));
                listener.serve(by_socket, Limits::default(), stopped).await;
            });
        });
        let tcp = told.recv().unwrap();
        Self { dir, in_force, tcp, _stop: stop }
    }

    /// Runs a command line, split at blanks.
    fn sgctl(&self, line: &str) -> (String, u8, String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.words(&words)
    }

    fn words(&self, words: &[&str]) -> (String, u8, String) {
        let socket = self.dir.path().join("api.sock");
        run(&[&["--socket", socket.to_str().unwrap()], words].concat())
    }

    /// The output of a command that must succeed.
    fn ok(&self, line: &str) -> String {
        let (out, code, error) = self.sgctl(line);
        assert_eq!((code, error.as_str()), (0, ""), "{line}: {out}");
        out
    }

    /// The message of a command that must be refused.
    fn refused(&self, line: &str) -> String {
        let (out, code, error) = self.sgctl(line);
        assert_eq!(code, 2, "{line}: {out}{error}");
        error
    }

    /// The message of a command that names what does not exist.
    fn missing(&self, line: &str) -> String {
        let (out, code, error) = self.sgctl(line);
        assert_eq!(code, 3, "{line}: {out}{error}");
        error
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} --json"))).unwrap()
    }

    /// The id of an object, by its name.
    fn id(&self, line: &str) -> String {
        self.ok(&format!("{line} -o name")).trim().to_owned()
    }

    /// How often the policy in force changed.
    fn policies(&self) -> usize {
        self.in_force.policies.lock().unwrap().len()
    }
}

/// A VPC with a group `web`, a rule in it, and a NIC that holds it.
fn site() -> Agent {
    let agent = Agent::new();
    agent.ok("vpc create prod --region eu-1");
    agent.ok("group create web --vpc prod --tag team=net");
    agent.ok("rule add web --direction ingress --protocol tcp --ports 80,443 --remote any");
    agent.ok("nic register --device eth0 --vpc prod --group web --address 10.0.0.5");
    agent
}

#[test]
fn groups_are_made_found_changed_and_deleted() {
    let agent = site();
    let table = agent.ok("group list");
    assert_eq!(table.lines().next().unwrap().split_whitespace().next(), Some("NAME"));
    assert!(table.contains("\nweb ") && table.contains(" prod ") && !table.contains("sg-"), "{table}");
    let wide = agent.ok("group list --vpc prod --type basic --tag team=net --name w* -o wide");
    assert!(wide.contains("team=net") && wide.contains(" sg-") && wide.contains(" prod "), "{wide}");
    assert_eq!(agent.json("group list --tag team=other"), Value::Array(vec![]));
    assert_eq!(agent.json("group list --held-by eth0")[0]["rules"], 1);

    let (_, code, _) = agent.sgctl("group modify web --inner-access reject");
    assert_eq!(code, 2, "members are let in or not; nobody is told");
    agent.ok("group modify web --name front --inner-access drop");
    assert!(agent.missing("group show web").contains("no group \"web\""));
    assert!(agent.missing("group show frnt").contains("did you mean \"front\"?"));
    let group = agent.json("group show front");
    assert_eq!((&group["inner_access"], &group["nics"]), (&Value::Bool(false), &Value::from(1)));

    assert!(agent.refused("group delete front").contains("--yes"));
    assert!(agent.refused("group delete front --yes").contains("still has members"));
    agent.ok("nic remove eth0 --yes");
    assert!(agent.ok("group delete front --yes").starts_with("deleted group sg-"));
    assert_eq!(agent.ok("group list"), "");
    agent.ok("vpc delete prod --yes");
}

#[test]
fn tables_are_sorted_and_truncated() {
    let agent = site();
    agent.ok("group create ops --vpc prod");
    agent.ok("rule add ops --direction ingress --protocol tcp --ports ssh,https --name in --enabled no");
    agent.ok("rule add ops --direction ingress --protocol udp --ports dns --priority 10");
    assert_eq!(
        agent.ok("group list --columns name,rules --sort rules"),
        "NAME  RULES\nweb       1\nops       2\n"
    );
    assert_eq!(agent.ok("group list --columns NAME --sort name --no-headers"), "ops\nweb\n");
    assert_eq!(agent.ok("group list --columns NAME --sort -rules --no-headers"), "ops\nweb\n");
    let rules = agent.ok("rule ls ops --sort priority");
    assert!(rules.lines().nth(1).unwrap().starts_with("in ") && rules.contains("22,443"), "{rules}");
    assert!(agent.refused("group list --columns nmae").contains("there are: name, id, type"));
    assert!(agent.refused("group list --json --sort name").contains("are for tables"));
}

#[test]
fn rules_are_added_changed_and_revoked() {
    let agent = site();
    agent.ok("group create ops --vpc prod");
    agent.ok("prefix-list create office --region eu-1 --entry 203.0.113.0/24 --entry 198.51.100.7/32");
    agent.ok("port-list create web --region eu-1 --entry 80 --entry 8080-8090");
    let added = agent
        .ok("rule add web --direction ingress --protocol tcp --ports port-list:web --remote group:ops \
         --remote prefix-list:office --priority 7");
    assert_eq!(added.lines().count(), 2, "{added}");
    assert!(added.starts_with("in force: rule sgr-"), "eth0 holds web: {added}");
    let added = agent.ok("rule add ops --direction ingress --protocol tcp --ports 22 --remote group:web");
    assert!(added.starts_with("stored, but no NIC holds this group: rule sgr-"), "{added}");
    agent.ok("vpc create test --region eu-1");
    agent.ok("group create far --vpc test");
    let elsewhere =
        agent.refused("rule add web --direction ingress --protocol tcp --ports 22 --remote group:far");
    let by_names = "group far is in VPC test, group web in VPC prod: a rule names only groups of its own VPC";
    assert!(elsewhere.contains(by_names), "{elsewhere}");
    agent.ok("group delete far --yes");
    let table = agent.ok("rule list web --direction ingress");
    for text in ["port-list:web", "group:ops", "prefix-list:office", "80,443"] {
        assert!(table.contains(text), "{text}: {table}");
    }
    assert!(agent.ok("rule list web -o wide").contains(" sgr-"));
    assert_eq!(agent.ok("rule list web --direction egress"), "");

    let before = agent.policies();
    let rules = agent.json("rule list web");
    let first = rules[0]["id"].as_str().unwrap();
    agent.ok(&format!("rule modify {first} --ports 443 --enabled no"));
    assert_eq!(agent.policies(), before + 1);
    assert!(agent.ok("rule list web").contains("disabled"));
    assert!(agent.ok(&format!("rule show {first}")).contains("ENABLED       no\n"));
    assert!(agent.refused(&format!("rule modify {first} --priority 101")).contains("priority \"101\""));
    assert!(agent.refused(&format!("rule modify {first}  --remote group:ops")).contains("another kind"));

    assert!(agent.ok("group references ops").contains("\nweb "));
    assert!(agent.ok("prefix-list associations office -o wide").contains("sgr-"));
    assert!(agent.ok("port-list list").contains("\nweb "));
    assert!(agent.refused("prefix-list delete office --yes").contains("in use by"));
    let (second, third) = (rules[1]["id"].as_str().unwrap(), rules[2]["id"].as_str().unwrap());
    assert!(agent.ok(&format!("rule revoke {first} --yes")).contains("revoked rule sgr-"));
    assert_eq!(
        agent.json(&format!("rule revoke {second} {third} --group web --yes")).as_array().unwrap().len(),
        2
    );
    agent.ok("prefix-list delete office --yes");
}

/// What most rules leave out takes no room, and what one has is not hidden.
#[test]
fn every_field_of_a_rule_is_seen() {
    let agent = site();
    let usual = agent.ok("rule list web");
    assert!(!usual.contains("SOURCE-PORTS") && usual.lines().all(|line| line.len() <= 80), "{usual}");
    assert!(!agent.ok("nic show eth0").contains("SOURCE-PORTS"));
    let rule = "rule add web --direction ingress --protocol udp --ports 53";
    agent.ok(&format!("{rule} --source-ports 1024-65535 --dscp 46 --local 10.0.0.5"));
    for list in ["rule list web", "nic show eth0"] {
        let table = agent.ok(list);
        for text in ["SOURCE-PORTS", "1024-65535", "LOCAL", "10.0.0.5", "OTHER-FIELDS", "dscp 46"] {
            assert!(table.contains(text), "{list} {text}: {table}");
        }
    }
    agent.ok("group create copy --vpc prod");
    let preview = agent.ok("group restore copy --from web --dry-run");
    let line =
        "+ ingress accept udp any -> 53, priority 1, source ports 1024-65535, local 10.0.0.5, dscp 46\n";
    assert!(preview.contains(line), "{preview}");
    let packet =
        "check packet eth0 --protocol udp --remote 203.0.113.9 --port 53 --source-port 2000 --dscp 46";
    let checked = agent.ok(packet);
    assert!(checked.contains("source ports 1024-65535, local 10.0.0.5, dscp 46\n"), "{checked}");

    let csv = agent.dir.path().join("rules.csv");
    agent.ok(&format!("group export web {}", csv.display()));
    let preview = agent.ok(&format!("group import copy {} --dry-run", csv.display()));
    assert!(preview.contains("SOURCE-PORTS") && preview.contains("dscp 46"), "{preview}");
}

#[test]
fn lists_change_and_tell_of_it() {
    let agent = Agent::new();
    agent.words(&[
        "prefix-list",
        "create",
        "office",
        "--max-entries",
        "5",
        "--entry",
        "203.0.113.0/24=the old line",
    ]);
    agent.words(&["prefix-list", "modify", "office", "--add", "192.0.2.1=new", "--remove", "203.0.113.0/24"]);
    assert!(agent.ok("prefix-list show office").contains("ADDRESSES    192.0.2.1 = new\n"));
    agent.ok("prefix-list modify office --add 10.0.0.1-10.0.0.9=ward --remove 192.0.2.1");
    assert!(agent.ok("prefix-list show office").contains("ADDRESSES    10.0.0.1-10.0.0.9 = ward\n"));
    agent.ok("prefix-list modify office --entry 10.0.0.7 --entry 10.0.0.1-10.0.0.9");
    assert!(
        agent
            .ok("prefix-list show office")
            .contains("ADDRESSES    10.0.0.7\n             10.0.0.1-10.0.0.9\n")
    );
    assert!(agent.refused("prefix-list modify office --entry 10.0.0.7 --add 10.0.0.8").contains("--add"));
    agent.ok("prefix-list create range --max-entries 1 --entry 2001:db8::1-2001:db8::9");
    assert!(agent.ok("prefix-list list").contains("IPv6"));
    agent.ok("prefix-list modify range --remove 2001:db8::1-2001:db8::9");
    agent.ok("port-list create web --max-entries 2 --entry 80");
    agent.ok("port-list modify web --add 443 --name web-ports");
    assert!(agent.ok("port-list show web-ports").ends_with("PORTS        80\n             443\n"));
    assert!(
        agent.refused("port-list modify web-ports --add 22").contains("would have 3 entries, 2 are allowed")
    );
    agent.ok("group create web");
    agent.ok(
        "rule add web --direction ingress --protocol tcp --ports port-list:web-ports --remote 10.0.0.0/8",
    );
    let refused = agent.refused("port-list delete web-ports --yes");
    assert!(refused.contains("change those first, or delete them with it (`--with-rules`)"), "{refused}");
    assert!(agent.ok("port-list associations web-ports").contains("web"));
    agent.ok("port-list delete web-ports --with-rules --yes");
    assert!(!agent.ok("rule list web").contains("tcp"));
}

#[test]
fn a_nic_shows_the_addresses_of_its_device() {
    let agent = site();
    agent.ok("instance register db --vpc prod --nic device=eth1,group=web");
    assert!(agent.ok("nic show eth1").contains("(the device's)"));
    let facts = DeviceFacts {
        mac: "02:00:00:00:00:05".parse().ok(),
        addresses: ["10.0.0.7", "2001:db8::7", "fe80::7"].map(|address| address.parse().unwrap()).into(),
        ..DeviceFacts::default()
    };
    agent.in_force.devices.lock().unwrap().insert("eth1".to_owned(), facts);
    let found = agent.json("nic list --address 2001:db8::7");
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(found[0]["addresses"], json!(["10.0.0.7", "2001:db8::7"]));
    assert_eq!(
        (&found[0]["mac"], &found[0]["from_device"]),
        (&json!("02:00:00:00:00:05"), &json!(["addresses", "mac"]))
    );
    assert!(agent.ok("nic list -o wide").contains("02:00:00:00:00:05"));
    assert!(agent.ok("nic show eth1").contains("10.0.0.7,2001:db8::7"));
    assert!(agent.ok("instance list").contains("10.0.0.7,2001:db8::7"));
    let instance = agent.json("instance show db");
    assert_eq!(instance["nics"][0]["addresses"], found[0]["addresses"]);
    // Its own come first.
    agent.ok("nic modify eth1 --address 10.0.0.9");
    assert_eq!(agent.json("nic show eth1")["addresses"], json!(["10.0.0.9"]));
    assert_eq!(agent.json("nic show eth1")["from_device"], json!(["mac"]));
}

#[test]
fn nics_and_instances_hold_groups_in_an_order() {
    let agent = site();
    agent.ok("group create ops --vpc prod");
    assert!(agent.ok("nic join eth0 --group ops --place 0").ends_with("(eth0) holds ops,web\n"));
    assert!(agent.ok("nic move eth0 ops down").ends_with("holds web,ops\n"));
    assert!(agent.ok("nic move eth0 ops 0").ends_with("holds ops,web\n"));
    assert_eq!(agent.json("nic move eth0 web up")[0]["order"], "merged");
    assert!(agent.ok("nic set-groups eth0 web ops").ends_with("holds web,ops\n"));
    assert!(agent.ok("nic list --group ops --on-this-host yes").contains("web,ops"));
    assert!(agent.ok("nic leave eth0 --group ops").ends_with("holds web\n"));
    let shown = agent.ok("nic show eth0");
    let (fields, rules) = shown.split_once("\n\n").unwrap();
    assert!(fields.contains("DEVICE             eth0"), "{shown}");
    assert!(
        rules.starts_with("GROUP  RULE") && rules.contains("\nweb ") && rules.contains("80,443"),
        "{shown}"
    );
    assert_eq!(agent.ok("nic show eth0 --columns name,device").lines().count(), 2);
    assert!(agent.refused("nic leave eth0 --group web").contains("at least one group"));
    agent.ok("nic modify eth0 --address 10.0.0.6 --anti-spoofing yes --description two");
    let nic = agent.json("nic show eth0");
    assert_eq!((&nic["addresses"][0], &nic["anti_spoofing"]), (&"10.0.0.6".into(), &Value::Bool(true)));
    let uuid = uuid_of(&NicId::from(nic["id"].as_str().unwrap())).to_string();
    assert_eq!(
        (&nic["uuid"], &agent.json("nic list")[0]["uuid"]),
        (&uuid.as_str().into(), &uuid.as_str().into())
    );

    agent.ok("instance register db-1 --vpc prod --nic address=10.0.0.9,group=web --nic device=tap1,role=guest,group=ops");
    assert!(agent.ok("instance show db-1").contains("GROUPS       web ops\n"));
    assert!(agent.ok("instance join db-1 --group ops").contains("holds web,ops"));
    assert!(agent.ok("instance list --group ops").contains("db-1"));
    assert!(agent.ok("instance leave db-1 --group ops").contains("holds web\n"));
    assert!(agent.ok("instance remove db-1 --yes").starts_with("removed instance i-"));
    assert_eq!(agent.json("nic list").as_array().unwrap().len(), 1);

    assert_eq!(agent.ok("member add web 10.1.0.7 2001:db8::7"), "group web has 2 members on other hosts\n");
    assert_eq!(agent.ok("member remove web 10.1.0.7"), "group web has 1 member on other hosts\n");
    assert_eq!(agent.id("member list web"), "2001:db8::7");
}

#[test]
fn rules_travel_between_groups_and_files() {
    let agent = site();
    agent.ok("group create ops --vpc prod");
    agent.ok("rule add web --direction ingress --protocol tcp --ports 22 --remote group:ops");
    assert!(agent.ok("group clone web web-test").contains("copied 2 rules"));
    let nowhere = agent.refused("group clone web web-far --region us-1");
    assert!(nowhere.contains("(`vpc`)") && nowhere.contains("(`classic`)"), "{nowhere}");
    let elsewhere = agent.ok("group clone web web-far --region us-1 --classic");
    assert!(elsewhere.contains("left out rule sgr-"), "{elsewhere}");

    let ssh = agent.json("rule list web-test")[1]["id"].as_str().unwrap().to_owned();
    agent.ok(&format!("rule revoke {ssh} --yes"));
    agent.ok("rule add web-test --direction egress --protocol udp --ports 53");
    let preview = agent.ok("group restore web-test --from web --complete --dry-run");
    assert!(preview.contains("+ ingress accept tcp group:ops -> 22, priority 1\n"), "{preview}");
    assert!(preview.contains("- egress accept udp 53 -> any, priority 1\n"), "{preview}");
    assert!(preview.ends_with("1 added, 1 removed, 1 as before\n"), "{preview}");
    assert!(agent.refused("group restore web-test --from web --complete").contains("--yes"));
    agent.ok("group restore web-test --from web --complete --yes");
    assert_eq!(agent.json("rule list web-test").as_array().unwrap().len(), 2);

    let csv = agent.dir.path().join("rules.csv");
    agent.ok(&format!("group export web {}", csv.display()));
    let text = fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("Direction,Policy,"), "{text}");
    assert!(agent.ok("group export web").starts_with("{\n  \"Permissions\""));
    agent.ok("group create copy --vpc prod");
    let preview = agent.ok(&format!("group import copy {} --dry-run", csv.display()));
    assert!(preview.contains("2 rules would be added, 0 skipped"), "{preview}");
    assert!(agent.ok(&format!("group import copy {}", csv.display())).contains("2 rules added, 0 skipped"));
    assert!(agent.ok(&format!("group import copy {}", csv.display())).contains("0 rules added, 2 skipped"));
    let bad = file(&text.replace(",TCP,", ",TPC,").replace(",tcp,", ",tpc,"));
    let (out, code, error) = agent.sgctl(&format!("group import copy {}", bad.path().display()));
    assert_eq!((code, error.as_str()), (2, "2 rows refused"), "{out}");
}

#[test]
fn checks_and_lint() {
    let agent = site();
    agent.ok("rule add web --direction ingress --protocol tcp --ports 22 --remote 0.0.0.0/0 --priority 9");
    agent
        .ok("rule add web --direction ingress --protocol tcp --ports 22 --remote 192.0.2.0/24 --action drop");
    let packet = "check packet eth0 --protocol tcp --remote";
    let open = agent.ok(&format!("{packet} 203.0.113.9 --port 22"));
    assert!(open.starts_with("accept by rule sgr-") && open.contains("priority 9"), "{open}");
    assert!(open.contains("evaluated before:"), "{open}");
    let closed = agent.ok(&format!("{packet} 192.0.2.1 --port 22"));
    assert!(closed.starts_with("drop by rule sgr-") && closed.contains("shadowed (they match"), "{closed}");
    assert_eq!(agent.ok(&format!("{packet} 192.0.2.1 --port 23 -o name")), "drop\n");
    assert!(agent.ok(&format!("{packet} 192.0.2.1 --port 23")).starts_with("drop by default"));
    assert!(agent.refused(&format!("{packet} 192.0.2.1")).contains("tcp needs --port"));
    agent.ok("rule add web --direction ingress --protocol tcp --ports 24 --remote any --action reject");
    assert_eq!(agent.ok(&format!("{packet} 192.0.2.1 --port 24 -o name")), "reject\n");
    agent.ok("vpc modify prod --default reject");
    assert!(agent.ok(&format!("{packet} 192.0.2.1 --port 23")).starts_with("reject by default"));
    let common = agent.ok("check common eth0 --remote 203.0.113.9");
    assert_eq!(common.lines().count(), 7, "{common}");

    let lint = agent.ok("lint --group web");
    assert!(lint.contains("over-open") && lint.contains("SSH"), "{lint}");
    assert_eq!(agent.json("lint --nic eth0")[0]["kind"], "over_open");
    assert!(agent.missing("lint --nic eth9").contains("no NIC \"eth9\""));
}

#[test]
fn a_document_is_applied_after_its_difference_was_seen() {
    let agent = Agent::new();
    let document = file("groups: { web: { ingress: [ { id: ssh, protocol: tcp, ports: 22 } ] } }\n");
    let apply = format!("apply -f {} --name site", document.path().display());
    let preview = agent.ok(&format!("{apply} --dry-run"));
    assert!(preview.contains("+ group web\n") && preview.contains("+ rule ssh\n"), "{preview}");
    assert_eq!(agent.json("group list"), Value::Array(vec![]));
    let (out, code, error) = agent.sgctl(&apply);
    assert_eq!(code, 2, "{out}");
    assert!(error.contains("--yes") && out.contains("+ group web"), "{out}{error}");
    let applied = agent.ok(&format!("{apply} --yes"));
    assert!(applied.contains("in force: ") && applied.contains(" added, 0 changed, 0 removed"), "{applied}");
    assert!(agent.ok(&apply).contains("nothing to change"));
    assert_eq!(agent.json("group list --owner site").as_array().unwrap().len(), 1);

    let bad = file("groups: { web: { ingress: [ { protocol: tpc } ] } }\n");
    let error = agent.refused(&format!("apply -f {} --name site", bad.path().display()));
    let place = format!("{}:1:", bad.path().display());
    assert!(error.contains("tpc") && error.starts_with(&place), "{error}");
}

#[test]
fn what_is_in_force_is_searched_and_tests_are_set_run_and_skipped() {
    let agent = site();
    let search = "search --group web --direction ingress --family 4 --port 443";
    let (out, code, _) = agent.sgctl(search);
    assert!(
        code == 1 && out.starts_with("1 set of packets\neth0 ingress IPv4: packets of tcp to port 443"),
        "{out}"
    );
    let (out, code, _) = agent.sgctl(&format!("{search} --verdict reject"));
    assert_eq!((out.as_str(), code), ("no packet\n", 0));
    assert!(agent.missing("search --nic eth9").contains("eth9"));
    assert!(agent.refused("search --time 4").contains("3 seconds"));

    let tests = |expect: &str| {
        let nic = "nics: [ { device: eth0, groups: [web] } ]\ngroups: { web: {} }\n";
        let test = "{ group: web, direction: ingress, protocol: tcp, ports: 443";
        file(&format!(
            "{nic}tests:\n  - {test}, expect: accept }}\n  - {test}, source_ports: 1, expect: {expect} }}\n"
        ))
    };
    let (right, wrong) = (tests("accept"), tests("drop"));
    let of =
        |verb: &str, tests: &tempfile::NamedTempFile| format!("test {verb} -f {}", tests.path().display());
    assert_eq!(agent.ok(&of("run", &right)), "2 tests: all hold\n");
    let (out, code, _) = agent.sgctl(&of("run", &wrong));
    let place = format!("{}:5:5: tests[1]: this test fails: expected drop, but ", wrong.path().display());
    assert!(code == 1 && out.starts_with(&place) && out.ends_with("2 tests: 1 fail\n"), "{out}");
    assert!(agent.refused(&of("set", &wrong)).contains("tests[1]: this test fails"));
    assert_eq!(agent.ok(&of("set", &right)), "every change is asked 2 tests from now on\n");
    assert!(agent.ok("test list").starts_with("tests[0]: {\"group\":\"sg-"));
    assert_eq!(agent.json("test run")["asked"], 2);

    let rule = agent.id("rule list web");
    let revoke = format!("rule revoke {rule} --yes");
    assert!(agent.refused(&revoke).contains("this test fails: expected accept, but"));
    assert!(agent.refused(&format!("{revoke} --force")).contains("this test fails"));
    agent.ok(&format!("{revoke} --skip-tests"));
    let (out, code, _) = agent.sgctl("test run");
    assert!(code == 1 && out.contains("2 tests: 2 fail"), "{out}");
    let none = file("{}");
    assert!(agent.refused(&of("set", &none)).contains("--yes"));
    agent.ok(&format!("{} --yes", of("set", &none)));
    assert_eq!(agent.json("test list"), Value::Array(vec![]));
}

#[test]
fn everything_leaves_and_comes_back() {
    let agent = site();
    let path = agent.dir.path().join("state");
    agent.ok(&format!("export {}", path.display()));
    assert!(agent.ok("export").starts_with("{\"format\":\"sgd state\""));
    agent.ok("nic remove eth0 --yes");
    agent.ok("group delete web --yes");
    let import = format!("import {}", path.display());
    assert!(agent.ok(&format!("{import} --dry-run")).contains("would be written"));
    assert!(agent.refused(&import).contains("--yes"));
    assert!(agent.ok(&format!("{import} --yes")).contains("written"));
    assert_eq!(agent.json("group show web")["rules"], 1);
    assert!(agent.ok(&format!("{import} --yes")).starts_with("0 records removed, 0 records written"));
    let wrong = file(&fs::read_to_string(&path).unwrap().replace("\"web\"", "\"w\\u0435b\""));
    let error = agent.refused(&format!("import {} --yes", wrong.path().display()));
    assert!(error.starts_with(&format!("{}: line ", wrong.path().display())), "{error}");
}

#[test]
fn access_keys_quotas_and_the_status() {
    let agent = site();
    let key = agent.json("access-key create --description ci --role viewer");
    assert_eq!(key["role"], "viewer");
    assert_eq!(key["project_id"], project_id("local"));
    let key_of = agent.json("access-key create --region cn-north-4");
    assert_eq!(key_of["project_id"], project_id("cn-north-4"));
    assert!(agent.refused("access-key create --role root").contains("viewer, editor, admin"));
    assert_eq!(key["secret"].as_str().unwrap().len(), 40);
    let list = agent.ok("access-key list");
    assert!(
        list.contains("ci") && list.contains("viewer") && !list.contains(key["secret"].as_str().unwrap()),
        "{list}"
    );
    assert!(
        agent
            .ok(&format!("access-key delete {} --yes", key["id"].as_str().unwrap()))
            .starts_with("deleted access key")
    );
    assert!(agent.missing("access-key delete ak-none --yes").contains("no access key"));

    assert!(agent.ok("quota modify groups-per-nic=10").contains("groups-per-nic"));
    assert!(
        agent.ok("quota list").contains("groups-per-nic") && !agent.ok("quota list -o name").contains('_')
    );
    assert_eq!(agent.json("quota list")["groups_per_nic"], 10);
    assert!(agent.refused("quota modify groups_per_nic=11").contains("1 to 10"));
    let unknown = agent.refused("quota modify groups=1");
    assert!(
        unknown.contains("no quota \"groups\"; there are: ") && unknown.contains("groups-per-nic,"),
        "{unknown}"
    );

    assert!(agent.ok("status").contains("IN-FORCE       0 of 1 NICs\nWAITING-FOR    eth0\n"));
    assert_eq!(agent.json("status")["groups"], 1);
}

#[test]
fn the_history_of_changes() {
    let agent = site();
    let all = agent.json("history");
    let entries = all.as_array().unwrap();
    assert!(entries.len() >= 3 && entries[0]["sequence"] == 1, "the oldest first: {all}");
    agent.missing("group delete no-such --yes");
    let last = agent.json("history --last 1");
    assert!(last[0]["outcome"] == "refused" && last[0]["message"].to_string().contains("no-such"), "{last}");
    let table = agent.ok("history --object web --outcome done --no-headers");
    assert!(table.contains("created group web") && table.contains("post_groups"), "{table}");
    assert!(agent.ok("history --who 1 --since 1h -o name").is_empty());
    assert_eq!(agent.ok("history --operation post_vpcs -o name"), "1\n");
    // What a user wrote is escaped on a terminal.
    agent.words(&["group", "delete", "\u{1b}[31mred", "--yes"]);
    let (table, code, _) = agent.sgctl("history --last 1");
    assert!(code == 0 && !table.contains('\u{1b}') && table.contains("[31mred"), "{table:?}");
    let file = agent.dir.path().join(sg_audit::FILE);
    let read = run(&["history", "--json", "--file", file.to_str().unwrap()]);
    assert_eq!(read.0, agent.ok("history --json"));
    assert!(agent.ok("status").contains("AUDIT") && agent.json("status")["audit"]["lost"] == 0);
    assert!(agent.refused("history --since yesterday").contains("write how long ago"));
    for more in [&["--until", "1h"][..], &["--columns", "who"]] {
        assert_eq!(run(&[&["history", "-f", "--file", file.to_str().unwrap()], more].concat()).1, 2);
    }
    let (_, code, error) = run(&["history", "--file", "/nowhere", "--socket", "/nowhere"]);
    assert!(code == 2 && error.contains("--socket and --file are two places"), "{error}");
    let (_, code, error) = run(&["history", "--file", "/nowhere/audit.jsonl"]);
    assert!(code == 2 && error.contains("cannot read /nowhere/audit.jsonl"), "{error}");
}

#[test]
fn going_back_to_an_earlier_change() {
    let agent = site();
    // 1 the VPC, 2 the group, 3 the rule, 4 the NIC.
    agent.words(&[
        "rule",
        "add",
        "web",
        "--direction",
        "ingress",
        "--protocol",
        "tcp",
        "--ports",
        "22",
        "--reason",
        "ticket 4711",
    ]);
    let table = agent.ok("history --changes");
    let row = table.lines().last().unwrap();
    assert!(row.trim_start().starts_with("5 ") && row.contains("ticket 4711"), "{table}");
    assert!(row.contains("opens 2 sets of packets") && row.contains("created rule"), "{table}");
    assert_eq!(agent.ok("history --changes --last 2 -o name"), "4\n5\n");
    let trail = agent.ok("history --last 1 --columns change,reason --no-headers");
    assert!(trail.contains('5') && trail.contains("ticket 4711"), "{trail}");
    let shown = agent.ok("history --change 5");
    assert!(shown.contains("opens 2 sets") && shown.contains("22"), "{shown}");
    assert_eq!(agent.json("history --change 5")["comparison"]["counts"]["opens"], 2);

    // The policy that is in force is not published here, so only what the store has is compared.
    assert_eq!(agent.sgctl("diff @3 @5").1, 1);
    assert_eq!(agent.sgctl("diff @5 @5").1, 0);
    let export = agent.dir.path().join("state.jsonl");
    agent.words(&["export", export.to_str().unwrap()]);
    let (out, code, error) = agent.words(&["diff", "@4", export.to_str().unwrap()]);
    assert!(code == 1 && out.contains("opens 2 sets"), "{out}{error}");
    for (line, expected) in [
        ("diff @x @5", "write @NUMBER"),
        ("diff @ @", "does not differ from itself"),
        ("rollback first", "is no number of a change"),
        ("history --changes --since 1h", "cannot be used with"),
    ] {
        let (_, code, error) = agent.sgctl(line);
        assert!(code == 2 && error.contains(expected), "{line}: {error}");
    }
    let (_, code, error) = agent.sgctl("diff @9 @5");
    assert!(code == 2 && error.contains("after change 9 is not kept"), "{error}");

    let would = agent.json("rollback 4 --dry-run");
    assert_eq!((&would["undone"], &would["removed"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(agent.json("rule list web").as_array().unwrap().len(), 2);
    let (_, code, error) = agent.sgctl("rollback 4 --json");
    assert!(code == 2 && error.contains("--yes"), "{error}");
    let done = agent.json("rollback @4 --yes --reason wrong");
    assert_eq!((&done["number"], &done["change"]), (&Value::from(6), &Value::from(4)));
    assert_eq!(agent.json("rule list web").as_array().unwrap().len(), 1);
    let newest = agent.json("history --changes --last 1");
    assert_eq!((&newest[0]["reason"], &newest[0]["number"]), (&Value::from("wrong"), &Value::from(6)));
}

#[test]
fn a_large_document_is_applied() {
    let agent = Agent::new();
    let prefixes: Vec<String> = (0..200_000_u32)
        .map(|number| std::net::Ipv4Addr::from(0x0a00_0000 + number * 2).to_string())
        .collect();
    let text = format!("prefix_lists: {{ all: [{}] }}\ngroups: {{ a: {{}} }}\n", prefixes.join(", "));
    assert!(text.len() > 2 << 20);
    let document = file(&text);
    let applied = agent.ok(&format!("apply -f {} --yes", document.path().display()));
    assert!(applied.contains("3 added"), "{applied}");
}

#[test]
fn the_same_over_tcp_with_an_access_key() {
    let agent = site();
    let key = agent.dir.path().join("key.json");
    fs::write(&key, agent.ok("access-key create -o json")).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (server, key) = (format!("http://{}", agent.tcp), key.display().to_string());
    let over_tcp = |words: &[&str]| run(&[&["--server", &server, "--access-key-file", &key], words].concat());

    assert_eq!(over_tcp(&["group", "list", "--columns", "name", "--no-headers"]).0, "web\n");
    let (out, code, error) = over_tcp(&["group", "create", "ops", "--vpc", "prod"]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(agent.ok("group list").contains("ops"));
    assert_eq!(over_tcp(&["group", "show", "db"]).1, 3);
    assert!(over_tcp(&["status"]).0.contains("0 of 1 NICs"));

    let id = agent.json("access-key list")[0]["id"].as_str().unwrap().to_owned();
    agent.ok(&format!("access-key delete {id} --yes"));
    let (_, code, error) = over_tcp(&["group", "list"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.starts_with(&server) && error.contains("does not accept the access key"), "{error}");
    let (_, code, error) =
        run(&["--server", "http://127.0.0.1:1", "--access-key-file", &key, "group", "list"]);
    assert!(code == 1 && error.contains("sgd serve --listen"), "{error}");
}
