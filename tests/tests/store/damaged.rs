//! Flipped bits in the file: the file is refused, or what was stored is read unchanged. No bit turns one rule into another.

use std::panic;

use fastrand::Rng;
use redb::{Builder, TableDefinition};
use sg_store::{RedbStore, StoreError, import};

use crate::store::{
    disk::Disk,
    script::{Script, State, state},
};

const FLIPS: u32 = 500;

pub(crate) fn at_any_bit() {
    quieten_the_database();
    let script = Script::new();
    // Much is in the store then.
    let done = 10;
    let disk = Disk::default();
    let mut store = open(&disk).unwrap();
    for place in 0..done {
        script.commit(&mut store, place).unwrap();
    }
    let crashed = disk.after_power_loss(|| true);
    drop(store);
    let shut_down = disk.after_power_loss(|| true);

    let mut rng = Rng::with_seed(7);
    for (name, content) in [("crash", crashed), ("shutdown", shut_down)] {
        let written: Vec<_> = (0..content.len()).filter(|&place| content[place] != 0).collect();
        let (mut unharmed, mut refused) = (0, 0);
        for _ in 0..FLIPS {
            let place = *rng.choice(&written).unwrap();
            let mut content = content.clone();
            content[place] ^= 1 << rng.u8(..8);
            match load(content) {
                Ok(found) => {
                    assert!(found == script.states[done], "byte {place} after a {name} makes another state");
                    unharmed += 1;
                }
                Err(_) => refused += 1,
            }
        }
        println!("after a {name}: {refused} of {FLIPS} flips refused, {unharmed} did no harm");
        assert!(refused > 0 && unharmed > 0);
    }
}

/// No program ever wrote schema 0, and none can read it.
pub(crate) fn at_a_schema_that_nobody_wrote() {
    let words =
        format!("schema 0 and cannot be brought to {}: this program cannot read schema 0", sg_store::SCHEMA);
    let disk = Disk::default();
    drop(open(&disk).unwrap());
    let database = Builder::new().create_with_backend(disk.clone()).unwrap();
    let change = database.begin_write().unwrap();
    let numbers = TableDefinition::<&str, u64>::new("numbers");
    change.open_table(numbers).unwrap().insert("schema", 0).unwrap();
    change.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let error = open(&disk).unwrap_err().to_string();
        assert!(error.contains(&words), "{error}");
    }
    let export = r#"{"format":"sgd state","schema":0,"secrets":false,"records":0}"#;
    let error = import(export.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(&words), "{error}");
}

fn open(disk: &Disk) -> Result<RedbStore, StoreError> {
    let disk = disk.clone();
    RedbStore::with_backend("disk", move || Ok(disk.clone()))
}

fn load(content: Vec<u8>) -> Result<State, StoreError> {
    open(&Disk::with(content)).map(|mut store| state(&mut store))
}

/// The store catches what the database panics at; nobody needs to read of it.
fn quieten_the_database() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|place| place.file().contains("/redb-")) {
            loud(info);
        }
    }));
}
