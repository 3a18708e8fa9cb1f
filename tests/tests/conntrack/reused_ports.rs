//! Another connection between the same ends, packet by packet through the program in the kernel: when it begins, what it
//! counts, and that a SYN alone changes nothing. Over tc and XDP, both families.

use sg_common::flow::{Direction, State};

use crate::{
    conntrack::revocation::{
        each,
        world::{ACK, CLIENT, Filter as _, SERVER, SYN},
    },
    support::runs::Test,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_second_connection_has_its_own_state_and_counts", its_own_state_and_counts),
    ("a_syn_alone_changes_nothing", a_syn_alone_changes_nothing),
    ("a_second_connection_meets_the_rules", it_meets_the_rules),
    ("data_of_another_connection_is_no_reply", data_of_another_connection_is_no_reply),
];

const FIN: u8 = 1;
const RST: u8 = 4;

/// 02: both ends lost the first connection without a word, and the second, whose numbers are far away, is closed properly.
fn its_own_state_and_counts() {
    for ends in [&[FIN | ACK][..], &[RST]] {
        each(|nic| {
            nic.connect(901);
            nic.wait(3);
            let (c, s) = (90_000_000, 3_000_000_000);
            nic.expect(CLIENT, SYN, [c, 0], 0, true);
            let first = nic.datapath.flows().unwrap()[0].1;
            assert_eq!(
                (first.packets, first.state()),
                ([2, 2], State::Established as u8),
                "the first stands"
            );
            nic.expect(SERVER, SYN | ACK, [s, c + 1], 0, true);
            nic.expect(CLIENT, ACK, [c + 1, s + 1], 100, true);
            nic.expect(SERVER, ACK, [s + 1, c + 101], 0, true);
            let second = nic.datapath.flows().unwrap()[0].1;
            assert_eq!((second.packets, second.state()), ([2, 2], State::Established as u8));
            let frame = if nic.family == sg_common::packet::Family::V4 { 54 } else { 74 };
            assert_eq!(second.bytes, [2 * frame + 100, 2 * frame]);
            if ends == [RST] {
                nic.expect(CLIENT, RST, [c + 101, 0], 0, true);
            } else {
                nic.expect(SERVER, FIN | ACK, [s + 1, c + 101], 0, true);
                nic.expect(CLIENT, FIN | ACK, [c + 101, s + 2], 0, true);
                nic.expect(SERVER, ACK, [s + 2, c + 102], 0, true);
            }
            assert_eq!(nic.states(), [State::Closing as u8]);
            nic.wait(4);
            nic.age();
            assert!(nic.states().is_empty());
        });
    }
}

fn a_syn_alone_changes_nothing() {
    each(|nic| {
        nic.connect(901);
        let before = nic.datapath.flows().unwrap()[0].1;
        nic.wait(1);
        let aged = nic.datapath.flows().unwrap()[0].1;
        for number in [7, 90_000_000, 3_000_000_000] {
            nic.expect(CLIENT, SYN, [number, 0], 0, true);
        }
        let after = nic.datapath.flows().unwrap()[0].1;
        assert_eq!((after.state(), after.sent, after.packets), (before.state(), before.sent, before.packets));
        assert_eq!((after.last_seen, after.first), (aged.last_seen, before.first));
        // The server, which knows the connection, says so; and it goes on.
        nic.expect(SERVER, ACK, [5_001, 1_011], 0, true);
        nic.expect(CLIENT, ACK, [1_011, 5_001], 10, true);
        // A reply to another number begins nothing.
        nic.expect(SERVER, SYN | ACK, [1, 90_000_002], 0, true);
        assert_eq!(nic.datapath.flows().unwrap()[0].1.packets, [3, 4]);
    });
}

fn it_meets_the_rules() {
    each(|nic| {
        nic.connect(901);
        nic.expect(CLIENT, RST, [1_011, 0], 0, true);
        // Accepted as a SYN, refused when the reply comes: the server replies to nobody.
        nic.expect(CLIENT, SYN, [90_000_000, 0], 0, true);
        nic.allow(false);
        nic.expect(SERVER, SYN | ACK, [7_000, 90_000_001], 0, false);
        nic.expect(CLIENT, ACK, [90_000_001, 7_001], 10, false);
        nic.expect(CLIENT, SYN, [90_000_000, 0], 0, false);
        // The server's own connection, over what is left of the client's.
        nic.expect(SERVER, SYN, [8_000, 0], 0, true);
        nic.expect(CLIENT, ACK, [1_011, 5_001], 10, false);
        nic.expect(CLIENT, SYN | ACK, [70, 8_001], 0, true);
        nic.expect(SERVER, ACK, [8_001, 71], 10, true);
        nic.expect(CLIENT, ACK, [71, 8_011], 10, true);
    });
}

/// A SYN on the ports of an older connection, of which the other end still sends: that is judged on its own, and not recorded as the
/// reply.
fn data_of_another_connection_is_no_reply() {
    each(|nic| {
        nic.expect(CLIENT, SYN, [90_000_000, 0], 0, true);
        let entry = nic.datapath.flows().unwrap()[0].1;
        assert_eq!((entry.direction(), entry.state()), (Direction::Ingress, State::New as u8));
        nic.expect(SERVER, ACK, [5_001, 1_011], 100, true);
        let flows = nic.datapath.flows().unwrap();
        assert_eq!(flows.len(), 1);
        assert_eq!((flows[0].1.direction(), flows[0].1.packets), (Direction::Egress, [1, 0]));
    });
}
