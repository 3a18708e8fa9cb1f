//! The run: cases through the filter, through no filter and through nftables, and the judgement of what arrived.

use std::{fmt::Write as _, time::Instant};

use anyhow::Result;

use crate::{
    address::CASES,
    combination::Combination,
    frames::Family,
    lab::Lab,
    report::All,
    revocation::PLACE,
    rig::Rig,
    rules::Policy,
    seen::{By, Seen},
    story::Case,
    tally::{Finding, Tally, Wrong},
    verdict::{Judge, Permit},
};

/// Frames of a batch: fewer than fit into a queue of a veth device with an XDP program (`VETH_RING_SIZE` in
/// drivers/net/veth.c), which drops what does not fit.
const BATCH: usize = 160;
/// Numbers of cases that are kept for those that are run again.
const AGAIN: u32 = 1 << 16;
/// Findings of one kind that are kept.
const KEPT: usize = 2;
/// The shares of the frames in the two turns in which all policies come up: a few under each first, so that what only the last
/// of them shows is found before all frames of the others have been sent.
const TURNS: [u64; 2] = [1, 15];

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of all cases.
    pub seed: u64,
    /// How many frames each combination sends, at least.
    pub frames: u64,
    /// Which run it is, where one follows another: none has a case of another one.
    pub round: u64,
    /// Only the case at this place.
    pub only: Option<u64>,
    /// Whether the first case that goes wrong ends it.
    pub first: bool,
}

/// A run under one combination.
pub struct Run {
    pub(crate) plan: Plan,
    pub(crate) rig: Rig,
    again: u32,
    pub(crate) tally: Tally,
    pub(crate) start: Instant,
}

impl Run {
    /// Runs `plan` under a combination, and all policies.
    ///
    /// # Errors
    /// Where the stacks cannot be made, or a batch does not go through.
    pub fn under(lab: Lab, combination: Combination, plan: Plan) -> Result<Tally> {
        let mut run = Self {
            plan,
            rig: Rig::new(lab, combination)?,
            again: 0,
            tally: Tally::default(),
            start: Instant::now(),
        };
        // No two combinations have a case in common.
        let index = Combination::all().iter().position(|&other| other == combination).unwrap_or(0);
        let mut place = (index as u64) << 40 | plan.round << 28;
        let place_of_revocation = place | PLACE;
        if plan.only.is_some_and(|only| only & PLACE != 0) {
            run.revocation(place_of_revocation)?;
            run.report();
            return Ok(run.tally);
        }
        if let Some(only) = plan.only {
            for &policy in Policy::all(combination) {
                run.rig.apply(policy)?;
                run.batch(policy, &[run.case(only)])?;
            }
            return Ok(run.tally);
        }
        let [few, rest] = TURNS;
        run.turn(few, &mut place)?;
        if !run.is_over() {
            run.revocation(place_of_revocation)?;
        }
        run.turn(rest, &mut place)?;
        run.tally.took = run.start.elapsed();
        Ok(run.tally)
    }

    /// A share of the frames, under one policy after the other; the cases begin at `place`.
    fn turn(&mut self, share: u64, place: &mut u64) -> Result<()> {
        let policies = Policy::all(self.rig.combination);
        let shares = TURNS.iter().sum::<u64>() * policies.len() as u64;
        for &policy in policies {
            if self.is_over() {
                break;
            }
            self.rig.apply(policy)?;
            let enough = self.tally.frames + (self.plan.frames * share).div_ceil(shares);
            while self.tally.frames < enough && !self.is_over() {
                let mut cases = Vec::new();
                let mut frames = 0;
                while frames < BATCH {
                    let case = self.case(*place);
                    *place += 1;
                    frames += case.steps.len();
                    cases.push(case);
                }
                self.batch(policy, &cases)?;
            }
        }
        Ok(())
    }

    /// Whether a case went wrong, and that is all that was asked.
    fn is_over(&self) -> bool {
        self.plan.first && self.tally.first.is_some()
    }

    fn case(&self, place: u64) -> Case {
        let number = 1 + (place % u64::from(CASES - AGAIN - 1)) as u32;
        Case::tell((self.plan.seed, place), number, self.rig.combination)
    }

    fn batch(&mut self, policy: Policy, cases: &[Case]) -> Result<()> {
        let judge = Judge { combination: self.rig.combination, policy };
        let three = self.rig.three(cases)?;
        for case in cases {
            self.tally.cases += 1;
            self.tally.frames += case.frames() as u64;
            let [filtered, twin, _] = three.of(case.number);
            let place = usize::from(case.ends.family() == Family::V6);
            let may = filtered
                .iter()
                .filter(|seen| seen.by != By::Refusal && judge.judge(case, seen, filtered).is_ok());
            let may = may.count() as u64;
            self.tally.delivered[place] += may;
            *self.tally.stories.entry(case.story).or_default() += may;
            self.tally.refusals += filtered.iter().filter(|seen| seen.by == By::Refusal).count() as u64;
            let must_not =
                twin.iter().filter(|seen| seen.by != By::Refusal && judge.judge(case, seen, twin).is_err());
            self.tally.forbidden[place] += must_not.count() as u64;
            if let Some((wrong, _)) = wrong(judge, case, three.of(case.number)) {
                self.note(judge, case, wrong)?;
            } else if let Some((seen, permit)) = blocked(judge, case, three.of(case.number)).next()
                && let Some(kind) = judge.kind(case, seen, permit)
            {
                *self.tally.kinds.entry(kind).or_default() += 1;
            }
            if self.plan.only.is_some() {
                println!("{}", text(judge, case, three.of(case.number)));
            }
        }
        Ok(())
    }

    /// Looks at a case that went wrong again, alone.
    fn note(&mut self, judge: Judge, case: &Case, found: Wrong) -> Result<()> {
        let key = (found, judge.policy, case.story);
        let known = self.tally.wrong.get(&key).copied().unwrap_or(0);
        // A datagram that did not arrive may have been lost otherwise; one that did has arrived.
        if found != Wrong::Blocked && known >= KEPT as u64 {
            *self.tally.wrong.entry(key).or_default() += 1;
            return Ok(());
        }
        let mut smallest = self.told_again(case);
        let mut three = self.rig.three(std::slice::from_ref(&smallest))?;
        let again =
            wrong(judge, &smallest, three.of(smallest.number)).is_some_and(|(wrong, _)| wrong == found);
        if !again && found == Wrong::Blocked {
            self.tally.lost += 1;
            return Ok(());
        }
        *self.tally.wrong.entry(key).or_default() += 1;
        self.tally.first.get_or_insert((self.tally.frames, self.start.elapsed()));
        if known >= KEPT as u64 {
            return Ok(());
        }
        let mut text_of = String::new();
        if again {
            let mut kept: Vec<usize> = (0..smallest.steps.len()).collect();
            for step in (0..smallest.steps.len()).rev() {
                let fewer: Vec<usize> = kept.iter().copied().filter(|&kept| kept != step).collect();
                let mut candidate = self.told_again(case);
                candidate.steps = fewer.iter().map(|&place| candidate.steps[place].clone()).collect();
                let result = self.rig.three(std::slice::from_ref(&candidate))?;
                if wrong(judge, &candidate, result.of(candidate.number))
                    .is_some_and(|(wrong, _)| wrong == found)
                {
                    (kept, smallest, three) = (fewer, candidate, result);
                }
            }
            text_of = text(judge, &smallest, three.of(smallest.number));
        } else {
            let under = format!("{}, policy {:?}", self.rig.combination, judge.policy);
            let _ = writeln!(text_of, "{under}: {case}  wrong: {found:?}; alone, it does not happen again");
        }
        let (seed, place) = case.origin;
        let (frames, took) = (self.tally.frames, self.start.elapsed());
        let _ = writeln!(text_of, "  found after {frames} frames, {:.1} s", took.as_secs_f64());
        let _ = writeln!(
            text_of,
            "  again: SG_RECEIVER_SEED={seed} SG_RECEIVER_CASE={place} … --test receiver -- --nocapture {}",
            self.rig.combination
        );
        self.tally.findings.push(Finding { wrong: found, policy: judge.policy, text: text_of });
        Ok(())
    }

    /// The same case from another source.
    fn told_again(&mut self, case: &Case) -> Case {
        Case::tell(case.origin, self.another_number(), self.rig.combination)
    }

    /// A number that no other case has.
    pub(crate) fn another_number(&mut self) -> u32 {
        self.again = (self.again + 1) % AGAIN;
        CASES - 1 - self.again
    }

    /// Counts a case that went wrong, and keeps what is said of it where it is one of the first of its kind.
    pub(crate) fn keep(&mut self, case: &Case, finding: Finding) {
        let known = self.tally.wrong.entry((finding.wrong, finding.policy, case.story)).or_default();
        *known += 1;
        if *known <= KEPT as u64 {
            self.tally.first.get_or_insert((self.tally.frames, self.start.elapsed()));
            self.tally.findings.push(finding);
        }
    }

    fn report(&self) {
        for finding in &self.tally.findings {
            println!("{}", finding.text);
        }
    }
}

/// What is wrong about a case, and with which datagram.
fn wrong<'a>(judge: Judge, case: &Case, three: [&'a [Seen]; 3]) -> Option<(Wrong, &'a Seen)> {
    let [filtered, ..] = three;
    if let Some(refusal) = judge.refused_wrongly(case, filtered) {
        return Some((Wrong::Refused, refusal));
    }
    for seen in filtered.iter().filter(|seen| seen.by != By::Refusal) {
        if let Err(why) = judge.judge(case, seen, filtered) {
            return Some((Wrong::Arrived(why), seen));
        }
    }
    let mut unexplained =
        blocked(judge, case, three).filter(|&(seen, permit)| judge.kind(case, seen, permit).is_none());
    unexplained.next().map(|(seen, _)| (Wrong::Blocked, seen))
}

/// The datagrams that did not arrive, though the rules accept them, nftables lets them pass, and without a filter they
/// arrive; and why they may.
fn blocked<'a>(
    judge: Judge,
    case: &Case,
    [filtered, twin, peer]: [&'a [Seen]; 3],
) -> impl Iterator<Item = (&'a Seen, Permit)> {
    let missing = move |seen: &Seen| {
        let arrived = |all: &[Seen]| all.iter().any(|other| other.key() == seen.key());
        matches!(seen.by, By::Raw | By::Socket) && !arrived(filtered) && arrived(peer)
    };
    let permitted = move |seen: &'a Seen| Some((seen, judge.judge(case, seen, twin).ok()?));
    twin.iter().filter(move |seen| missing(seen)).filter_map(permitted)
}

fn text(judge: Judge, case: &Case, three: [&[Seen]; 3]) -> String {
    let mut text = format!("{}, policy {:?}: {case}", judge.combination, judge.policy);
    for (name, all) in
        ["behind the filter, it", "the twin without a filter", "behind nftables, it"].iter().zip(three)
    {
        let _ = write!(text, "{}", All(name, all));
    }
    if let Some((wrong, seen)) = wrong(judge, case, three) {
        let _ = writeln!(text, "  wrong: {wrong:?}: {seen}");
    }
    text
}
