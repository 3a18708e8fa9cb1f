//! What becomes of a flow of no TCP connection whose rule is gone: nothing of it tells who began but time, so it stays revoked
//! for as long as one end sends more often than the timeout, whatever policies come meanwhile. Through the program in the kernel,
//! over tc and XDP, both families; what was seen of time is made older instead of waited for.

use sg_kernel::Program;

use crate::{
    conntrack::revocation::{
        Nic, each,
        world::{CLIENT, SERVER},
    },
    support::runs::Test,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_revoked_flow_stays_so_while_an_end_sends", stays_revoked),
    ("who_sends_when_and_under_which_policy_does_not_matter", whatever_comes),
    ("after_a_whole_timeout_it_is_a_new_one", a_new_one),
];

/// The defaults of established flows, in seconds, for UDP and for others.
const TIMEOUT: u64 = 180;

/// Each kind: a rule, its protocol, and what it carries from an end.
const KINDS: [(&str, u8); 5] = [
    ("{ id: it, protocol: udp, ports: 53 }", 17),
    ("{ id: it, protocol: 136, ports: 53 }", 136),
    ("{ id: it, protocol: sctp, ports: 53 }", 132),
    ("{ id: it, protocol: gre }", 47),
    ("{ id: it, protocol: 50 }", 50),
];

struct TestFlow<'a> {
    nic: &'a mut Nic,
    protocol: u8,
    /// Of the client: one of each flow.
    port: u16,
}

impl TestFlow<'_> {
    fn passes(&mut self, end: usize) -> bool {
        let ports = if end == CLIENT { [self.port, 53] } else { [53, self.port] };
        let [from, to] = ports.map(u16::to_be_bytes);
        let mut carried = [from, to].concat();
        match self.protocol {
            // A length, and a sum that nobody looks at.
            17 | 136 => carried.extend([0, 12, 0, 0, 1, 2, 3, 4]),
            // A tag, a sum, and a chunk of data.
            132 => carried.extend([[0, 0, 0, 1], [0; 4], [0, 3, 0, 16], [0; 4], [0; 4], [0; 4]].concat()),
            47 => carried = vec![0, 0, 8, 0, 1, 2, 3, 4],
            _ => carried = vec![0, 0, 1, 0, 0, 0, 0, 9, 1, 2, 3, 4],
        }
        let frame = self.nic.packet(end, self.protocol, &carried);
        let program = if end == CLIENT { self.nic.received } else { Program::Egress };
        self.nic.datapath.run(program, &frame, 1).unwrap().passed
    }

    fn wait(&mut self, seconds: u64) {
        self.nic.datapath.let_time_pass(seconds).unwrap();
        self.nic.datapath.age().unwrap();
    }
}

/// Both ends have said something, and the rule is there.
fn each_flow(test: impl Fn(&mut TestFlow<'_>, &str)) {
    each(|nic| {
        for (rule, protocol) in KINDS {
            nic.rule = rule;
            nic.datapath.forget_flows(0).unwrap();
            nic.allow(true);
            let place = format!("{protocol} over {:?} {:?}", nic.family, nic.received);
            let mut flow = TestFlow { nic, protocol, port: 40_000 };
            assert!(flow.passes(CLIENT) && flow.passes(SERVER) && flow.passes(CLIENT), "{place}");
            test(&mut flow, &place);
        }
    });
}

/// The first packet after a policy is the one that revokes the flow, and is one that was sent.
fn stays_revoked() {
    for policies_between in [false, true] {
        each_flow(|flow, place| {
            flow.wait(50);
            flow.nic.allow(false);
            for round in 0..3 {
                flow.wait(100);
                assert!(!flow.passes(SERVER), "{place}, round {round}: what the server says opens it");
                assert!(!flow.passes(CLIENT), "{place}, round {round}: the client gets in");
                flow.wait(TIMEOUT - 5);
                assert!(!flow.passes(SERVER), "{place}, round {round}: what the server says opens it later");
                if policies_between {
                    flow.nic.allow(false);
                }
            }
            flow.nic.allow(true);
            assert!(flow.passes(CLIENT) && flow.passes(SERVER), "{place}: the rule is there again");
        });
    }
}

fn whatever_comes() {
    let mut random = fastrand::Rng::with_seed(12);
    let seeds: Vec<u64> = (0..2).map(|_| random.u64(..)).collect();
    each_flow(|flow, place| {
        for &seed in &seeds {
            let mut random = fastrand::Rng::with_seed(seed);
            // Of one with ports another one; the others are the same flow, which lives.
            flow.port += 1;
            flow.nic.allow(true);
            assert!(flow.passes(CLIENT) && flow.passes(SERVER), "{place}, seed {seed}");
            flow.nic.allow(false);
            for step in 0..30 {
                flow.wait(random.u64(1..TIMEOUT));
                if random.u8(..4) == 0 {
                    flow.nic.allow(false);
                }
                let end = if random.bool() { CLIENT } else { SERVER };
                assert!(!flow.passes(end), "{place}, seed {seed}, step {step}, of {end}");
            }
        }
    });
}

/// What the property does not say: silence of both ends for longer than the timeout. The server may begin then.
fn a_new_one() {
    each_flow(|flow, place| {
        flow.nic.allow(false);
        assert!(!flow.passes(SERVER) && !flow.passes(CLIENT), "{place}");
        flow.wait(TIMEOUT + 5);
        assert!(!flow.passes(CLIENT), "{place}: nobody lets the client in");
        assert!(flow.passes(SERVER), "{place}: the server may send to whom it likes");
        assert!(flow.passes(CLIENT), "{place}: and gets a reply");
    });
}
