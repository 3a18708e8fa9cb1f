//! A large host: 100,000 rules in 1,000 groups, 10,000 NICs, 200 of them here; the others are members on other hosts. The cost of
//! a start, of each query, and of each single change until its response: stored on the disk, and with everything prepared for the
//! kernel. The kernel's own part comes on top: `publish`.
//!
//! A figure is the median of its rounds; the worst is printed beside it. Not by criterion: an operation builds on the ones before,
//! whose number criterion would choose.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    fmt::Debug,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    thread::JoinHandle,
    time::Instant,
};

use jiff::Timestamp;
use sg_benches::{AgentDouble, Figure, Plan, Samples, Sequence, Unit, ports, prefix};
use sg_kernel::Limits;
use sg_model::HeaderNumbers;
use sg_records::{
    Action, Direction, Established, Family, Group, GroupId, GroupType, Hook, Label, Nic, NicType, Order,
    Ports, PrefixEntry, PrefixFamily, PrefixList, Remote, Role, Rule, RuleSpec, Vpc,
};
use sg_service::{
    Authorize, ChangeMembers, CheckPacket, CreateGroup, DeleteGroups, Filter, GroupQuery, HostDevices, Join,
    LARGEST_PAGE, LabelChange, Leave, ModifyGroup, ModifyList, ModifyRule, Move, MoveGroup, NewLabel,
    NicQuery, Operation, PageRequest, Refusal, RegisterNic, RemoveNics, Revoke, RuleQuery, Scope, Service,
    State, check_common, check_packet, export_rules, find_groups, find_nics, find_rules, lint,
    list_associations, references,
};
use sg_store::{Change, Record, RedbStore, Store, export};

const RULES_OF_A_GROUP: usize = 100;
const GROUPS: usize = 1_000;
const NICS: usize = 10_000;
/// NICs whose devices are on this host.
const HERE: usize = 200;

fn main() {
    let families = ["service", "query", "operation"];
    let Some(plan) = Plan::from_env(&families) else { return };
    let [starts, asks, operates] = families.map(|family| plan.wants(family));
    let bench = Bench { plan };
    // Beside the build: `/tmp` is often memory.
    let program = std::env::current_exe().expect("a program has a place");
    let place = tempfile::tempdir_in(program.parent().expect("in a directory")).expect("a directory");
    let mut store = RedbStore::open(place.path()).expect("a store");
    store.commit(&records().into_iter().map(Change::Put).collect::<Vec<_>>()).expect("it can be written");
    drop(store);

    if starts {
        let rounds = (0..bench.plan.rounds(3, 1)).map(|_| {
            let start = Instant::now();
            let (service, writer) = started(place.path());
            let taken = milliseconds(start);
            ended(service, writer);
            taken
        });
        bench.record("service/start", &rounds.collect());
    }
    if asks || operates {
        let (service, writer) = started(place.path());
        if asks {
            queries(&bench, &service.snapshot());
        }
        if operates {
            changes(&bench, &service);
        }
        ended(service, writer);
    }
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

struct Bench {
    plan: Plan,
}

impl Bench {
    /// A figure of a query.
    fn query<T, E: Debug>(&self, name: &str, mut ask: impl FnMut(usize) -> Result<T, E>) {
        let name = figure_name("query", name);
        if self.plan.wants(&name) {
            let rounds = self.rounds(|number| drop(black_box(ask(number).expect("it succeeds"))));
            self.record(&name, &rounds);
        }
    }

    /// A figure of an operation; returns its outputs. It runs even if its figure is not requested: others build on it.
    fn change<O: Operation>(
        &self,
        service: &Service,
        name: &str,
        mut make: impl FnMut(usize) -> O,
    ) -> Vec<O::Output> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut outputs = Vec::new();
        let rounds = self.rounds(|number| {
            let output: Result<O::Output, Refusal> = runtime.block_on(service.submit(make(number)));
            outputs.push(output.map_err(|refusal| refusal.to_string()).expect("it is done"));
        });
        self.record(&figure_name("operation", name), &rounds);
        outputs
    }

    fn rounds(&self, mut work: impl FnMut(usize)) -> Samples {
        (0..self.plan.rounds(25, 5))
            .map(|number| {
                let start = Instant::now();
                work(number);
                milliseconds(start)
            })
            .collect()
    }

    fn record(&self, name: &str, rounds: &Samples) {
        if self.plan.wants(name) {
            let figure = Figure::new(name, rounds.median(), Unit::Milliseconds).spread(rounds.spread());
            self.plan.record(&figure);
            println!("{:<26} {:>12.1} ms at worst", "", rounds.most());
        }
    }
}

/// The name in the list of figures: `query/groups-by-name`.
fn figure_name(family: &str, name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    format!("{family}/{}", words.join("-"))
}

/// From the closed store to the policy in force, without the kernel.
fn started(store: &Path) -> (Service, JoinHandle<()>) {
    let limits = Limits { nics: 512, counters: 1 << 18, ..Limits::default() };
    let agent_double = AgentDouble::new((0..HERE).map(device), limits, None);
    let store = RedbStore::open(store).expect("a store");
    Service::start(Box::new(store), agent_double).expect("it starts")
}

/// The store is closed when the writer has ended.
fn ended(service: Service, writer: JoinHandle<()>) {
    drop(service);
    writer.join().expect("the writer ends");
}

fn device(nic: usize) -> String {
    format!("tap{nic}")
}

fn group(number: usize) -> GroupId {
    format!("sg-{number:017}").into()
}

fn label(name: String) -> Label {
    let tags = [("team".to_owned(), format!("t{}", name.len() % 7))].into();
    Label {
        name,
        description: String::new(),
        tags,
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        owner: None,
    }
}

fn address(nic: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + nic as u32))
}

/// Four groups for each NIC, and for every fifth also the first group: that one has 2,000 members, and rules of a hundred groups
/// name it.
fn records() -> Vec<Record> {
    let vpc = Vpc {
        id: "vpc-1".into(),
        region: "local".into(),
        label: label("net".into()),
        cidr: None,
        order: Order::Merged,
        established: Established::Revalidate,
        mid_stream: sg_model::MidStream::default(),
        takeover: sg_model::Takeover::default(),
        default: sg_model::Unmatched::default(),
    };
    let entries = (0..170_u32).map(|number| PrefixEntry {
        addresses: format!("198.{}.{number}.0/24", 18 + number % 2).parse().expect("a prefix"),
        description: String::new(),
    });
    let list = PrefixList {
        id: "pl-1".into(),
        region: "local".into(),
        label: label("offices".into()),
        extra: PrefixFamily { family: Some(Family::V4) },
        max_entries: 200,
        entries: entries.collect(),
    };
    let mut all = vec![vpc.into(), list.into()];
    for number in 0..GROUPS {
        all.push(
            Group {
                id: group(number),
                region: "local".into(),
                vpc: Some("vpc-1".into()),
                label: label(format!("group-{number}")),
                kind: GroupType::Basic,
                inner_access: true,
                default: false,
            }
            .into(),
        );
        all.extend((0..RULES_OF_A_GROUP).map(|position| rule(number, position).into()));
    }
    for number in 0..NICS {
        let held = (0..4).map(|place| group(1 + (number * 4 + place) % (GROUPS - 1)));
        let first = number.is_multiple_of(5).then(|| group(0));
        let here = number < HERE;
        all.push(
            Nic {
                id: format!("eni-{number:017}").into(),
                region: "local".into(),
                vpc: Some("vpc-1".into()),
                label: label(format!("nic-{number}")),
                instance: None,
                primary: false,
                device: here.then(|| device(number)),
                role: Role::Guest,
                addresses: vec![address(number)],
                anti_spoofing: None,
                dhcp_servers: Vec::new(),
                accept_own_source: false,
                ipsec: None,
                ethertypes: Vec::new(),
                senders: sg_model::AllowedSources::default(),
                hook: Hook::Tc,
                nic_type: NicType::Intranet,
                groups: first.into_iter().chain(held).collect(),
            }
            .into(),
        );
    }
    all
}

/// One rule in twenty names another group; one group in ten names the first, and one the list.
fn rule(of: usize, position: usize) -> Rule {
    let number = (of * RULES_OF_A_GROUP + position) as u32;
    let mut random = Sequence(number.into());
    let mut spec = RuleSpec::accept("tcp".parse().expect("a protocol"));
    spec.matches.remote = match position {
        0 if of % 10 == 3 => Remote::Group(group(0)),
        0 if of % 10 == 7 => Remote::PrefixList("pl-1".into()),
        19 | 39 | 59 | 79 => Remote::Group(group((of + position) % GROUPS)),
        _ => Remote::Net(prefix(&mut random)),
    };
    spec.matches.ports = match ports(&mut random) {
        sg_model::Ports::Ranges(ranges) => Ports::Ranges(ranges),
        _ => Ports::Any,
    };
    spec.action = if random.next().is_multiple_of(8) { Action::Drop } else { Action::Accept };
    spec.priority = (random.next() % 100 + 1) as u8;
    let direction = if position < 80 { Direction::Ingress } else { Direction::Egress };
    Rule {
        id: format!("sgr-{number:017}").into(),
        group: group(of),
        direction,
        serial: number.into(),
        created: Timestamp::UNIX_EPOCH,
        updated: Timestamp::UNIX_EPOCH,
        spec,
    }
}

fn queries(bench: &Bench, state: &State) {
    let all = Filter::default();
    let page = |limit, after: Option<String>| PageRequest { limit: Some(limit), after };
    let target = |number: usize| device(number * 7 % HERE);
    let elsewhere = |number: usize| format!("eni-{:017}", HERE + number);
    let packet = |nic: String, port| CheckPacket {
        nic,
        direction: Direction::Ingress,
        protocol: "tcp".parse().expect("a protocol"),
        remote: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
        local: None,
        port: Some(port),
        source_port: None,
        numbers: HeaderNumbers::NONE,
    };
    let by_name = |name: &str| Filter { name: Some(name.to_owned()), ..Filter::default() };
    let by_tag = Filter { tag: Some("team=t3".to_owned()), ..Filter::default() };
    let nothing = |_: &str| sg_model::DeviceFacts::default();

    bench.query("groups: the first page of 100", |_| {
        find_groups(state, &all, &GroupQuery::default(), &page(100, None))
    });
    bench.query("groups: the last page", |_| {
        find_groups(state, &all, &GroupQuery::default(), &page(100, Some(group(900).to_string())))
    });
    bench.query("groups: the largest page", |_| {
        find_groups(state, &all, &GroupQuery::default(), &page(LARGEST_PAGE, None))
    });
    bench.query("groups: by name", |n| {
        find_groups(state, &by_name(&format!("group-{n}")), &GroupQuery::default(), &page(100, None))
    });
    bench.query("groups: by pattern", |_| {
        find_groups(state, &by_name("*-9*"), &GroupQuery::default(), &page(100, None))
    });
    bench.query("groups: by tag", |_| find_groups(state, &by_tag, &GroupQuery::default(), &page(100, None)));
    bench.query("groups: of a NIC", |n| {
        let held = GroupQuery { target: Some(target(n)), ..GroupQuery::default() };
        find_groups(state, &all, &held, &page(100, None))
    });
    bench.query("groups: who names the first", |_| references(state, group(0).as_str()));
    bench.query("rules: of a group", |n| {
        find_rules(state, group(n * 31).as_str(), &RuleQuery::default(), |_| true, &page(LARGEST_PAGE, None))
    });
    bench.query("rules: the export of a group", |n| export_rules(state, group(n * 31).as_str()));
    let devices = HostDevices::default();
    bench.query("NICs: the first page of 100", |_| {
        find_nics(state, &devices, &all, &NicQuery::default(), &page(100, None))
    });
    bench.query("NICs: a page in the middle", |_| {
        find_nics(
            state,
            &devices,
            &all,
            &NicQuery::default(),
            &page(100, Some(format!("eni-{:017}", NICS / 2))),
        )
    });
    bench.query("NICs: the largest page", |_| {
        find_nics(state, &devices, &all, &NicQuery::default(), &page(LARGEST_PAGE, None))
    });
    bench.query("NICs: by name", |n| {
        find_nics(state, &devices, &by_name(&format!("nic-{n}")), &NicQuery::default(), &page(100, None))
    });
    bench.query("NICs: of the first group", |_| {
        let of = NicQuery { group: Some(group(0).to_string()), ..NicQuery::default() };
        find_nics(state, &devices, &all, &of, &page(100, None))
    });
    bench.query("NICs: by address", |n| {
        let of = NicQuery { address: Some(address(n * 399)), ..NicQuery::default() };
        find_nics(state, &devices, &all, &of, &page(100, None))
    });
    bench.query("prefix lists: who names one", |_| list_associations::<PrefixEntry>(state, "pl-1"));
    bench.query("check: a packet, a NIC here", |n| check_packet(state, &packet(target(n), 443), nothing));
    bench.query("check: a packet, a NIC elsewhere", |n| {
        check_packet(state, &packet(elsewhere(n), 443), nothing)
    });
    bench.query("check: the common ports", |n| {
        let remote = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
        check_common(state, &target(n), remote, nothing)
    });
    bench.query("lint: of a group", |n| lint(state, &Scope::Group(group(n * 31).to_string())));
    bench.query("lint: of a NIC", |n| lint(state, &Scope::Nic(target(n))));
    bench.query("lint: of everything", |_| lint(state, &Scope::All));
    bench.query("export: everything", |_| {
        let mut text = Vec::new();
        export(state.records(), &mut text, false).map(|()| text.len()).map_err(|error| format!("{error:?}"))
    });
}

fn changes(bench: &Bench, service: &Service) {
    // An ordinary group that NICs of this host hold, and the large one that many rules name.
    let ordinary = |number: usize| group(1 + number * 13 % 700).to_string();
    let large = group(0).to_string();
    let spec = |number: usize| {
        let mut spec = RuleSpec::accept("udp".parse().expect("a protocol"));
        spec.matches.remote = format!("192.0.2.{}", number % 250).parse().expect("an address");
        spec.matches.ports = "53".parse().expect("a port");
        spec
    };
    let add = |group: String, number| Authorize::of(group, Direction::Ingress, vec![spec(number)]);

    let made = bench.change(service, "add a rule", |n| add(ordinary(n), n));
    bench.change(service, "modify a rule", |n| ModifyRule {
        rule: made[n][0].id.to_string(),
        action: Some(Action::Drop),
        ..ModifyRule::default()
    });
    bench.change(service, "revoke a rule", |n| Revoke {
        group: ordinary(n),
        direction: None,
        rules: vec![made[n][0].id.to_string()],
    });
    let made = bench.change(service, "add a rule to the group of 2000", |n| add(large.clone(), n));
    bench.change(service, "revoke a rule of the group of 2000", |n| Revoke {
        group: large.clone(),
        direction: None,
        rules: vec![made[n][0].id.to_string()],
    });
    bench.change(service, "add a member elsewhere to the group of 2000", |n| ChangeMembers {
        group: large.clone(),
        add: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0aff_0000 + n as u32))],
        ..ChangeMembers::default()
    });
    bench.change(service, "modify a prefix list", |n| ModifyList {
        list: "pl-1".to_owned(),
        add: vec![PrefixEntry {
            addresses: format!("203.0.113.{n}/32").parse().expect("a prefix"),
            description: String::new(),
        }],
        ..ModifyList::default()
    });
    bench.change(service, "create a group", |n| CreateGroup {
        label: NewLabel { name: format!("new-{n}"), ..NewLabel::default() },
        region: "local".to_owned(),
        vpc: Some("net".to_owned()),
        ..CreateGroup::default()
    });
    bench.change(service, "describe a group", |n| ModifyGroup {
        group: ordinary(n),
        label: LabelChange { description: Some("described".to_owned()), ..LabelChange::default() },
        ..ModifyGroup::default()
    });
    bench.change(service, "isolate the members of a group", |n| ModifyGroup {
        group: ordinary(n),
        inner_access: Some(false),
        ..ModifyGroup::default()
    });
    bench.change(service, "a NIC here joins a group", |n| Join {
        groups: vec![format!("new-{n}")],
        targets: vec![device(1 + 5 * n)],
        place: None,
    });
    bench.change(service, "the group moves to the front", |n| MoveGroup {
        target: device(1 + 5 * n),
        group: format!("new-{n}"),
        to: Move::To(0),
    });
    bench.change(service, "the NIC leaves it", |n| Leave {
        groups: vec![format!("new-{n}")],
        targets: vec![device(1 + 5 * n)],
    });
    bench.change(service, "delete a group", |n| DeleteGroups { groups: vec![format!("new-{n}")] });
    bench.change(service, "register a NIC elsewhere in the group of 2000", |n| RegisterNic {
        id: Some(format!("eni-new-{n}")),
        vpc: Some("net".to_owned()),
        addresses: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0afe_0000 + n as u32))],
        groups: vec![large.clone()],
        ..RegisterNic::default()
    });
    bench.change(service, "remove a NIC elsewhere", |n| RemoveNics { nics: vec![format!("eni-new-{n}")] });
    bench.change(service, "register a NIC here", |n| RegisterNic {
        id: Some(format!("eni-here-{n}")),
        vpc: Some("net".to_owned()),
        device: Some(format!("new{n}")),
        role: Role::Guest,
        addresses: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0afd_0000 + n as u32))],
        groups: vec![ordinary(n)],
        ..RegisterNic::default()
    });
    bench.change(service, "remove a NIC here", |n| RemoveNics { nics: vec![format!("eni-here-{n}")] });
}
