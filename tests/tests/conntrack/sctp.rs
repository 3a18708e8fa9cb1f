//! Associations of SCTP, packet by packet through the program in the kernel: one that is asked for meets the rules, whatever is
//! known of its ends. Over tc and XDP, both families.

use sg_check::CompiledNic;
use sg_common::packet::Family;
use sg_kernel::{Datapath, Limits, Options, Program};

use crate::support::runs::{Test, packet};

pub(crate) const TESTS: &[Test] = &[
    ("one_that_is_asked_for_meets_the_rules", one_that_is_asked_for_meets_the_rules),
    ("a_revoked_association_gives_way_to_another", a_revoked_association_gives_way_to_another),
];

// Types of chunks (RFC 9260 3.2).
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Client,
    Server,
}
use End::{Client, Server};

/// The server's NIC, as one family and one way to hook see it.
struct Nic {
    datapath: Datapath,
    family: Family,
    received: Program,
    generation: u32,
}

impl Nic {
    fn rules(&mut self, ingress: &str, egress: &str) {
        let rules = |action: &str| format!("[{{ protocol: sctp, ports: 3868, action: {action} }}]");
        let text = format!(
            "groups: {{ g: {{ inner_access: drop, ingress: {}, egress: {} }} }}\n\
             nics: [{{ device: nic, addresses: [10.0.0.5, \"2001:db8::5\"], groups: [g] }}]",
            rules(ingress),
            rules(egress)
        );
        let policy = sg_document::parse("associations", text.as_bytes()).unwrap().policy;
        let mut image = CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image;
        self.generation += 1;
        image.set_generation(self.generation);
        self.datapath.publish(0, &image).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, end: End, chunk: u8, passes: bool) {
        let program = if end == Client { self.received } else { Program::Egress };
        let outcome = self.datapath.run(program, &frame(self.family, end, chunk), 1).unwrap();
        let (family, hook) = (self.family, self.received);
        assert_eq!(outcome.passed, passes, "chunk {chunk} of the {end:?} over {family:?} {hook:?}");
    }
}

fn each(test: impl Fn(&mut Nic)) {
    let limits = Limits { nics: 4, flows: 1 << 12, counters: 512, denied: 64 };
    let datapath = Datapath::load(&Options { limits, ..Options::default() }).unwrap();
    let mut nic = Nic { datapath, family: Family::V4, received: Program::Ingress, generation: 0 };
    nic.datapath.stand_in(0).unwrap();
    for family in [Family::V4, Family::V6] {
        for received in [Program::Ingress, Program::Xdp] {
            (nic.family, nic.received) = (family, received);
            nic.datapath.forget_flows(0).unwrap();
            test(&mut nic);
        }
    }
}

/// Both ends have port 3868, as peers in a network of signals do.
fn frame(family: Family, end: End, chunk: u8) -> Vec<u8> {
    let mut sctp = [[15, 28, 15, 28, 0, 0, 0, 0, 0, 0, 0, 0].as_slice(), &[chunk, 0, 0, 20]].concat();
    sctp.resize(32, 1);
    packet(family, end == Client, 132, &sctp)
}

/// A reply is let through because of its request; a request never is.
fn one_that_is_asked_for_meets_the_rules() {
    each(|nic| {
        nic.rules("accept", "drop");
        nic.expect(Server, INIT, false);
        nic.expect(Client, INIT, true);
        nic.expect(Server, INIT_ACK, true);
        nic.expect(Client, DATA, true);
        nic.expect(Server, DATA, true);
        nic.expect(Server, INIT, false);
        nic.expect(Client, INIT, true);
        nic.expect(Server, DATA, true);
    });
}

fn a_revoked_association_gives_way_to_another() {
    each(|nic| {
        nic.rules("accept", "accept");
        nic.expect(Client, INIT, true);
        nic.expect(Server, INIT_ACK, true);
        nic.rules("drop", "accept");
        nic.expect(Client, DATA, false);
        nic.expect(Server, DATA, false);
        nic.expect(Client, INIT, false);
        // The server may send requests, and get replies.
        nic.expect(Client, INIT_ACK, false);
        nic.expect(Server, INIT, true);
        nic.expect(Client, INIT_ACK, true);
        nic.expect(Server, DATA, true);
        nic.expect(Client, INIT, false);
        nic.rules("drop", "drop");
        nic.expect(Server, DATA, false);
        nic.expect(Client, DATA, false);
    });
}
