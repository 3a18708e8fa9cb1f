//! The start: what an earlier agent left is adopted, or it is replaced and that is said. It must never mix
//! the two: maps of one layout with a catalog of another would count one rule's packets for another rule.
//! Called once, by `run`.

use super::{
    AgentError, AgentOptions, Catalog, CatalogError, Instance, devices,
    enforcer::spawn_program_log,
    host,
    reconcile::Agent,
    teardown::{every_device, teardown},
};
use crate::kernel::{Attachment, Datapath, Limits, Options};

/// What to do about what is there.
#[derive(Debug)]
enum Beginning {
    /// Nothing is there.
    Fresh,
    /// Everything is there: flows, counters, slots, numbers and generations go on.
    Adopt(Catalog),
    /// Something is there that cannot be used.
    Replace {
        /// Why it cannot be used.
        why: String,
    },
}

/// Looks at the host and hands over an agent that knows what is in force. It loads the program for its first
/// policy; until then nothing is made and nothing is taken away.
pub(super) fn start(options: &AgentOptions) -> Result<Agent<Datapath>, AgentError> {
    host::check_capabilities()?;
    let (catalog, replaced) = match beginning(&options.instance, options.attachment) {
        Beginning::Fresh => (Catalog::new(options.limits, options.attachment), None),
        Beginning::Replace { why } => (Catalog::new(options.limits, options.attachment), Some(why)),
        Beginning::Adopt(catalog) => {
            log::info!("adopting what an earlier agent (pid {}) left in force", catalog.pid);
            if catalog.limits != options.limits {
                let Limits { nics, flows, counters } = catalog.limits;
                log::warn!(
                    "the tables keep the sizes they were made with ({nics} NICs, {flows} flows, {counters} \
                     counters); `sgctl detach` first to change them"
                );
            }
            (catalog, None)
        }
    };
    let (path, budget_words, options) = (options.instance.catalog(), options.budget_words, options.clone());
    let load = move |catalog: &Catalog| {
        if let Some(why) = &replaced {
            log::warn!(
                "starting afresh: {why}. The old filter is taken off before the new one is attached; \
                 flows and counts are lost"
            );
            // Not before there is a policy that nothing refuses: that must not cost the host the filter that it has.
            teardown(&options.instance, &every_device(&devices::scan()?))?;
        }
        load(&options, catalog)
    };
    Ok(Agent::new(Box::new(load), catalog, path, budget_words))
}

/// Loads the program, over the tables of `catalog` where they are there.
fn load(options: &AgentOptions, catalog: &Catalog) -> Result<Datapath, AgentError> {
    let mut datapath = Datapath::load(&Options {
        pins: Some(options.instance.pins()),
        attachment: catalog.attachment,
        log_level: options.program_log,
        limits: catalog.limits,
        flows: options.flows,
    })
    .map_err(|source| AgentError::Load { source })?;
    if options.program_log > 0 {
        spawn_program_log(&mut datapath).map_err(|source| AgentError::Load { source })?;
    }
    // From here on pins have a catalog, whatever becomes of the first policy.
    catalog.save(&options.instance.catalog())?;
    Ok(datapath)
}

fn beginning(instance: &Instance, attachment: Attachment) -> Beginning {
    let catalog = Catalog::load(&instance.catalog());
    let pinned = instance.pinned_versions();
    let foreign = pinned.iter().find(|path| **path != instance.pins());
    let replace = |why| Beginning::Replace { why };
    match catalog {
        _ if let Some(path) = foreign => {
            replace(format!("{} was pinned by another version of sgd", path.display()))
        }
        Err(CatalogError::Missing { .. }) if pinned.is_empty() => Beginning::Fresh,
        Err(error) => replace(error.to_string()),
        Ok(_) if pinned.is_empty() => replace(format!("nothing is pinned in {}", instance.pins().display())),
        Ok(catalog) if catalog.attachment != attachment => {
            replace(format!("the old filter is attached by {:?}, not {attachment:?}", catalog.attachment))
        }
        Ok(catalog) => Beginning::Adopt(catalog),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::agent::plan::samples::LIMITS;

    /// An instance in a directory of its own, with or without something pinned, with or without a catalog.
    fn instance(pins: bool, catalog: Option<&Catalog>) -> (tempfile::TempDir, Instance) {
        let dir = tempfile::tempdir().unwrap();
        let instance = Instance::under("sgd", &dir.path().join("run"), &dir.path().join("bpf")).unwrap();
        drop(instance.lock().unwrap());
        if pins {
            fs::create_dir_all(instance.pins()).unwrap();
            fs::write(instance.pins().join("COUNTERS"), "").unwrap();
        }
        if let Some(catalog) = catalog {
            catalog.save(&instance.catalog()).unwrap();
        }
        (dir, instance)
    }

    fn begin(pins: bool, catalog: Option<&Catalog>, attachment: Attachment) -> Beginning {
        let (_dir, instance) = instance(pins, catalog);
        beginning(&instance, attachment)
    }

    #[test]
    fn pins_and_their_catalog_are_adopted() {
        let catalog = Catalog::new(LIMITS, Attachment::Auto);
        assert!(matches!(begin(true, Some(&catalog), Attachment::Auto), Beginning::Adopt(_)));
        assert!(matches!(begin(false, None, Attachment::Auto), Beginning::Fresh));
    }

    #[test]
    fn one_without_the_other_is_replaced() {
        let catalog = Catalog::new(LIMITS, Attachment::Auto);
        assert!(matches!(begin(true, None, Attachment::Auto), Beginning::Replace { .. }));
        assert!(matches!(begin(false, Some(&catalog), Attachment::Auto), Beginning::Replace { .. }));
    }

    #[test]
    fn another_version_or_way_of_attaching_is_replaced() {
        let catalog = Catalog::new(LIMITS, Attachment::Auto);
        let (_dir, instance) = instance(true, Some(&catalog));
        assert!(matches!(beginning(&instance, Attachment::Clsact), Beginning::Replace { .. }));
        let other = instance.pins().with_file_name("v0");
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("link"), "").unwrap();
        let Beginning::Replace { why } = beginning(&instance, Attachment::Auto) else { panic!() };
        assert!(why.contains("v0"), "{why}");
    }
}
