//! A disk that fails at a chosen write, for a moment or for longer, while the process goes on. What the store reports must be
//! true, and it must work again when the disk does.

use sg_store::{RedbStore, StoreError};

use crate::store::{
    disk::{Disk, Trouble},
    script::{Script, exported_state, state},
};

/// How many commits after the trouble show that it is over.
const AFTER: u32 = 3;

pub(crate) fn at_every_write() {
    let script = Script::new();
    for trouble in [Trouble::Full, Trouble::Broken, Trouble::Dead] {
        let (mut met, mut refused, mut stored, mut doubtful) = (0, 0, 0, 0);
        for at in 1.. {
            let disk = Disk::default();
            let mut store = open(&disk);
            disk.trouble_at(at, trouble);
            let (mut done, mut came, mut after) = (0, false, 0);
            while done < script.commits.len() && after < AFTER {
                let result = script.commit(&mut store, done);
                let troubled = disk.is_troubled();
                disk.repair();
                came |= troubled;
                after += u32::from(came);
                match result {
                    Ok(()) => {
                        stored += usize::from(troubled);
                        done += 1;
                    }
                    Err(error) => {
                        assert!(troubled, "at {at}: {error}");
                        if matches!(error, StoreError::Doubtful { .. }) {
                            assert_eq!(trouble, Trouble::Dead, "at {at}: {error}");
                            doubtful += 1;
                            // It goes on where that commit did not happen, and else not before everything was loaded.
                            done += usize::from(script.commit(&mut store, done).is_ok());
                            done = script.check(&state(&mut store), done);
                        } else {
                            refused += 1;
                        }
                    }
                }
                if troubled {
                    assert_eq!(state(&mut store), script.states[done], "{trouble:?} at {at}");
                    Script::check_history(&mut store, done);
                    // What was said to be stored is on the disk itself.
                    let left = Disk::with(disk.after_power_loss(|| false));
                    let found = exported_state(&mut open(&left));
                    assert_eq!(found, script.states[done], "{trouble:?} at {at}, then no power");
                }
            }
            assert_eq!(state(&mut store), script.states[done], "{trouble:?} at {at}, and some commits later");
            if !came {
                break;
            }
            met += 1;
        }
        println!(
            "{trouble:?} at {met} writes: {refused} refused, {stored} stored all the same, {doubtful} in doubt"
        );
        assert!(met > 100, "{met} writes are too few to have met every kind");
    }
}

fn open(disk: &Disk) -> RedbStore {
    let disk = disk.clone();
    RedbStore::with_backend("disk", move || Ok(disk.clone())).unwrap()
}
