//! The power fails at a chosen write: what was not synced is lost, or some sectors of it are; and it may fail again during
//! recovery.

use std::env;

use fastrand::Rng;
use sg_store::{RedbStore, StoreError};

use crate::store::{
    disk::{Disk, Trouble},
    script::{Script, exported_state, state},
};

pub(crate) fn at_every_write() {
    let deep = env::var_os("SG_DEEP").is_some();
    let script = Script::new();
    let empty = empty();
    let (mut losses, mut states, mut recoveries) = (0_u64, 0_u64, 0_u64);
    for at in 1.. {
        let disk = Disk::with(empty.clone());
        disk.trouble_at(at, Trouble::PowerLoss);
        let done = run(&disk, &script);
        if !disk.is_troubled() {
            break;
        }
        losses += 1;
        // It may go again while the store recovers. That takes long, so in one way only, and not after every loss.
        let (chosen, twice) = (usize::try_from(at).unwrap() % WAYS, deep || at % 4 == 0);
        for (number, mut lands) in ways(at).into_iter().enumerate() {
            let left = disk.after_power_loss(&mut *lands);
            let mut store = open(&Disk::with(left.clone())).unwrap();
            let state_of = if number == chosen { exported_state } else { state };
            let found = script.check(&state_of(&mut store), done);
            Script::check_history(&mut store, found);
            states += 1;
            for again in (1..).take_while(|_| twice && number == chosen) {
                let disk = Disk::with(left.clone());
                disk.trouble_at(again, Trouble::PowerLoss);
                drop(open(&disk));
                if !disk.is_troubled() {
                    break;
                }
                let disk = Disk::with(disk.after_power_loss(&mut *lands));
                assert!(state(&mut open(&disk).unwrap()) == script.states[found], "write {at}, then {again}");
                recoveries += 1;
            }
        }
    }
    println!(
        "power lost at {losses} writes, {states} contents of the disk; {recoveries} more while recovering"
    );
    assert!(losses > 100, "{losses} writes are too few to have met every kind");
}

/// What is on a disk with a store in which there is nothing.
fn empty() -> Vec<u8> {
    let disk = Disk::default();
    drop(open(&disk));
    disk.after_power_loss(|| true)
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    let disk = disk.clone();
    RedbStore::with_backend("disk", move || Ok(disk.clone()))
}

/// Does the script as far as there is power; says how many commits were stored.
fn run(disk: &Disk, script: &Script) -> usize {
    let Ok(mut store) = open(disk) else { return 0 };
    (0..script.commits.len()).take_while(|place| script.commit(&mut store, *place).is_ok()).count()
}

const WAYS: usize = 6;

/// Which sectors that were not synced come to the disk: none, all, one half or the other, few, most.
fn ways(seed: u64) -> [Box<dyn FnMut() -> bool>; WAYS] {
    let random = |salt: u64, of_ten: u8| {
        let mut rng = Rng::with_seed(seed << 8 | salt);
        move || rng.u8(..10) < of_ten
    };
    let turn = |first: bool| {
        let mut lands = first;
        move || {
            lands = !lands;
            lands
        }
    };
    [
        Box::new(|| false),
        Box::new(|| true),
        Box::new(turn(true)),
        Box::new(turn(false)),
        Box::new(random(1, 2)),
        Box::new(random(2, 8)),
    ]
}
