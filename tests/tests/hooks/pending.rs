//! Changes that are to be confirmed, through `BPF_PROG_TEST_RUN`: the deadline passes by itself, for NICs with images of all sizes at
//! the same moment, and of a confirmation and a deadline that meet, one happens.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use sg_check::CompiledNic;
use sg_common::{image::CLASS_WORDS, verdict::Reason};
use sg_compile::Image;
use sg_kernel::{Confirmation, Datapath, Limits, Options, Program};
use sg_model::Role;
use sg_tests::packet::ethernet;

use crate::support::runs::{Test, segment, segment_to};

pub(crate) const TESTS: &[Test] = &[
    ("a_deadline_that_passes_takes_all_nics_back_at_once", all_nics_go_back_at_once),
    ("a_change_that_was_confirmed_stays_after_its_deadline", what_was_confirmed_stays),
    ("a_change_that_was_cancelled_is_over_at_once", what_was_cancelled_is_over),
    ("a_change_that_was_extended_stays_until_then", what_was_extended_stays),
    ("a_nic_that_was_not_filtered_passes_everything_again", a_new_nic_passes_everything_again),
    ("flows_are_judged_by_the_policy_that_is_back", flows_are_judged_again),
    ("a_confirmation_and_a_deadline_that_meet_have_one_outcome", races_have_one_outcome),
];

/// The sizes of three NICs' images before a change, and after it, by the number of prefixes. One shrinks, one grows, one is small.
const BEFORE: [usize; 3] = [1, 40_000, 1];
const AFTER: [usize; 3] = [1, 1, 5_000];

/// Races between a confirmation and a deadline.
const RACES: usize = 1_000;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

struct Host {
    datapath: Datapath,
    before: Vec<Image>,
    after: Vec<Image>,
    generation: u32,
    last_id: u32,
}

impl Host {
    /// Three NICs that drop, and what makes them accept.
    fn new(before: [usize; 3], after: [usize; 3]) -> Self {
        let limits = Limits { nics: 4, flows: 1 << 12, counters: 512, denied: 64 };
        let datapath = Datapath::load(&Options { limits, ..Options::default() }).unwrap();
        let images = |action, counts: [usize; 3]| counts.map(|count| image(action, count)).to_vec();
        let (before, after) = (images("drop", before), images("accept", after));
        let mut host = Self { datapath, before, after, generation: 0, last_id: 0 };
        host.publish(false, 0);
        host
    }

    fn publish(&mut self, changed: bool, id: u32) {
        self.generation += 1;
        let images = if changed { &mut self.after } else { &mut self.before };
        for image in images.iter_mut() {
            image.set_generation(self.generation);
            image.set_pending(id);
        }
        let images: Vec<(u16, &Image)> = (0..).zip(images.iter()).collect();
        self.datapath.publish_all(&images).into_iter().for_each(Result::unwrap);
    }

    /// Puts the change in force for so many jiffies.
    fn change(&mut self, jiffies: u64) -> u32 {
        self.datapath.keep(&[0, 1, 2]).unwrap();
        let id = self.begin(jiffies);
        self.publish(true, id);
        id
    }

    fn begin(&mut self, jiffies: u64) -> u32 {
        let now = self.now();
        let id = self.datapath.pending_change().begin(now, self.last_id, now + jiffies);
        self.last_id = id.expect("nothing is pending");
        self.last_id
    }

    /// Makes what is in force after a change that is over formal.
    fn settle(&mut self) {
        self.publish(false, 0);
        self.datapath.forget_previous().unwrap();
    }

    fn now(&mut self) -> u64 {
        self.datapath.now().unwrap()
    }

    fn second(&mut self) -> u64 {
        self.datapath.jiffies().unwrap().hertz.into()
    }

    fn wait_until(&mut self, jiffies: u64) {
        let began = Instant::now();
        while self.now() < jiffies {
            assert!(began.elapsed() < Duration::from_secs(20), "the clock stands still");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn passes(&mut self, program: Program, slot: u16, frame: &[u8]) -> bool {
        self.datapath.stand_in(slot).unwrap();
        self.datapath.run(program, frame, 1).unwrap().passed
    }

    #[track_caller]
    fn expect(&mut self, accepted: bool, when: &str) {
        // A port of its own, so that no flow is known.
        for program in [Program::Ingress, Program::Xdp] {
            for slot in 0..3 {
                let port = 1_024 + fastrand::u16(..60_000);
                let passed = self.passes(program, slot, &segment(SYN, port));
                assert_eq!(passed, accepted, "NIC {slot} by {program:?} {when}");
            }
        }
    }

    fn state(&mut self) -> Confirmation {
        let now = self.now();
        self.datapath.pending_change().state(now)
    }
}

/// The image of a NIC that does this to what comes to port 80, beside a rule for so many prefixes.
fn image(action: &str, prefixes: usize) -> Image {
    let mut list = String::new();
    for number in 0..prefixes {
        let [_, a, b, c] = (number as u32 * 97).to_be_bytes();
        let _ = write!(list, "11.{a}.{b}.{c}/32,");
    }
    let text = format!(
        "prefix_lists: {{ many: [{list}] }}\n\
         groups: {{ g: {{ inner_access: drop, ingress: [{{ protocol: tcp, ports: 80, action: {action} }}, \
         {{ protocol: udp, ports: 9, remote: {{ prefix_list: many }} }}] }} }}\n\
         nics: [{{ device: nic, addresses: [10.0.0.5], groups: [g] }}]"
    );
    let policy = sg_document::parse("pending", text.as_bytes()).unwrap().policy;
    CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image
}

fn all_nics_go_back_at_once() {
    let mut host = Host::new(BEFORE, AFTER);
    let class = |image: &Image| CLASS_WORDS.iter().position(|&words| image.words().len() <= words);
    let classes: Vec<_> = host.before.iter().chain(&host.after).map(class).collect();
    assert!((0..3).all(|class| classes.contains(&Some(class))), "sizes: {classes:?}");
    host.expect(false, "before the change");
    let second = host.second();
    let id = host.change(second);
    let deadline = host.now() + second;
    host.expect(true, "in the window");
    assert!(matches!(host.state(), Confirmation::Pending { id: found, .. } if found == id));
    // From here on nobody does anything.
    host.wait_until(deadline + 1);
    host.expect(false, "after the deadline");
    assert_eq!(host.state(), Confirmation::Over { id });
    host.settle();
    host.expect(false, "once that is formal");
    let id = host.change(60 * second);
    host.expect(true, "under another change");
    let now = host.now();
    assert_eq!(host.datapath.pending_change().confirm(now, id), Confirmation::None);
}

fn what_was_confirmed_stays() {
    let mut host = Host::new(BEFORE, AFTER);
    let second = host.second();
    let id = host.change(second);
    let (now, word) = (host.now(), host.datapath.pending_change());
    assert_eq!(word.confirm(now, id + 1), word.state(now), "another id confirms nothing");
    assert_eq!(word.confirm(now, id), Confirmation::None);
    host.wait_until(now + second + 1);
    host.expect(true, "after the deadline");
    host.datapath.forget_previous().unwrap();
    host.expect(true, "once that is formal");
    assert_eq!(host.state(), Confirmation::None);
}

fn what_was_cancelled_is_over() {
    let mut host = Host::new(BEFORE, AFTER);
    let second = host.second();
    let id = host.change(60 * second);
    host.expect(true, "in the window");
    let (now, word) = (host.now(), host.datapath.pending_change());
    assert_eq!(word.begin(now, id, now + second), None, "one change is pending");
    assert_eq!(word.cancel(now, id), Confirmation::Over { id });
    host.expect(false, "after it was cancelled");
    assert_eq!(word.confirm(now, id), Confirmation::Over { id }, "it is over");
    assert_eq!(word.extend(now, id, now + second), Confirmation::Over { id });
    host.expect(false, "whatever comes later");
}

fn what_was_extended_stays() {
    let mut host = Host::new([1; 3], [1; 3]);
    let second = host.second();
    let id = host.change(second);
    let now = host.now();
    let state = host.datapath.pending_change().extend(now, id, now + 3 * second);
    assert_eq!(state, Confirmation::Pending { id, left: 3 * second });
    host.wait_until(now + 2 * second);
    host.expect(true, "after the first deadline");
    host.wait_until(now + 3 * second);
    host.expect(false, "after the second");
}

fn a_new_nic_passes_everything_again() {
    let mut host = Host::new([1; 3], [1; 3]);
    let second = host.second();
    let new = Image::unfiltered(Role::Host, 64 + 3 * 64);
    host.datapath.keep_instead(3, &new).unwrap();
    let id = host.begin(60 * second);
    let mut closed = image("drop", 1);
    closed.set_pending(id);
    host.datapath.publish(3, &closed).unwrap();
    let lldp = [ethernet([[0; 6]; 2], &[0; 60])[..12].to_vec(), vec![0x88, 0xcc], vec![0; 60]].concat();
    let frames = [segment(SYN, 7_000), segment(ACK, 7_001), lldp];
    for program in [Program::Ingress, Program::Egress, Program::Xdp] {
        for frame in frames.iter().take(if program == Program::Egress { 0 } else { 3 }) {
            assert!(!host.passes(program, 3, frame), "{program:?} in the window");
        }
    }
    let now = host.now();
    let over = host.datapath.pending_change().cancel(now, id);
    assert_eq!(over, Confirmation::Over { id });
    for program in [Program::Ingress, Program::Egress, Program::Xdp] {
        for frame in &frames {
            assert!(host.passes(program, 3, frame), "{program:?} once it is over");
        }
    }
    host.datapath.stand_in(3).unwrap();
    let outcome = host.datapath.run(Program::Ingress, &frames[0], 1).unwrap();
    assert_eq!(outcome.decision.unwrap().reason(), Ok(Reason::Default));
    host.expect(false, "of the others, whose images are not of that change");
}

fn flows_are_judged_again() {
    let mut host = Host::new([1; 3], [1; 3]);
    let second = host.second();
    // Port 80 is open after the change only, and port 81 before it only.
    let text = "groups: { g: { inner_access: drop, ingress: [{ protocol: tcp, ports: 81 }] } }\n\
         nics: [{ device: nic, addresses: [10.0.0.5], groups: [g] }]";
    let policy = sg_document::parse("pending", text.as_bytes()).unwrap().policy;
    let image = CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image;
    host.before = vec![image; 3];
    host.publish(false, 0);
    assert!(host.passes(Program::Ingress, 0, &segment_to(81, SYN, 9_000)));
    assert!(host.passes(Program::Ingress, 0, &segment_to(81, ACK, 9_000)));
    let id = host.change(60 * second);
    assert!(!host.passes(Program::Ingress, 0, &segment_to(81, ACK, 9_000)), "it is revoked");
    assert!(host.passes(Program::Ingress, 0, &segment_to(80, SYN, 9_001)));
    assert!(host.passes(Program::Ingress, 0, &segment_to(80, ACK, 9_001)));
    let now = host.now();
    let over = host.datapath.pending_change().cancel(now, id);
    assert_eq!(over, Confirmation::Over { id });
    assert!(host.passes(Program::Ingress, 0, &segment_to(81, ACK, 9_000)), "it goes on");
    assert!(
        !host.passes(Program::Ingress, 0, &segment_to(80, ACK, 9_001)),
        "what the change accepted does not"
    );
    host.settle();
    assert!(host.passes(Program::Ingress, 0, &segment_to(81, ACK, 9_000)));
    assert!(!host.passes(Program::Ingress, 0, &segment_to(80, ACK, 9_001)));
}

/// Somebody confirms who looked at the clock before the deadline and writes about when it passes, while packets meet three NICs. What
/// the word says afterwards is what all of them met, and none met first the one and then the other.
fn races_have_one_outcome() {
    let mut host = Host::new([1; 3], [1; 3]);
    let mut confirmed = 0;
    host.datapath.keep(&[0, 1, 2]).unwrap();
    for race in 0..RACES {
        // What was kept stays: nothing else is ever published than the change.
        let id = host.last_id + 1;
        host.publish(true, id);
        // So that it passes within a jiffy or two.
        assert_eq!(host.begin(2), id);
        let (before, word) = (host.now(), host.datapath.pending_change());
        let is_done = AtomicBool::new(false);
        let wait = Duration::from_micros(fastrand::u64(3_000..13_000));
        let (outcome, met) = thread::scope(|scope| {
            let confirms = scope.spawn(|| {
                thread::sleep(wait);
                let outcome = word.confirm(before, id);
                is_done.store(true, Relaxed);
                outcome
            });
            let (mut met, mut after) = (Vec::new(), 0);
            while after < 6 {
                after += usize::from(is_done.load(Relaxed));
                let slot = (met.len() % 3) as u16;
                met.push(host.passes(Program::Ingress, slot, &segment(ACK, 1_024 + race as u16)));
            }
            (confirms.join().unwrap(), met)
        });
        match outcome {
            Confirmation::None => {
                confirmed += 1;
                assert!(met.iter().all(|passed| *passed), "race {race}: confirmed, and {met:?}");
            }
            Confirmation::Over { .. } => {
                let accepted = met.iter().take_while(|passed| **passed).count();
                assert!(met[accepted..].iter().all(|passed| !passed), "race {race}: over, and {met:?}");
                assert!(accepted < met.len(), "race {race}: over, and all passed");
            }
            Confirmation::Pending { .. } => panic!("race {race}: nothing was decided"),
        }
    }
    println!("pending: {confirmed} of {RACES} races were confirmed in time");
    assert!((RACES / 20..RACES - RACES / 20).contains(&confirmed), "{confirmed} of {RACES}: no race");
}
