//! The list of tests, and what each needs.

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use sg_tests::lab::{Attach, Entered, Lab, Version, kernel};

pub(crate) struct Suite {
    entered: Entered,
    trials: Vec<Trial>,
}

impl Suite {
    pub(crate) fn new(entered: Entered) -> Self {
        Self { entered, trials: Vec::new() }
    }

    /// A test that needs no filter.
    pub(crate) fn add(
        &mut self,
        name: impl Into<String>,
        test: impl FnOnce(Lab) -> Result<()> + Send + 'static,
    ) {
        self.add_since(Version(0, 0), "", name.into(), test);
    }

    /// A test that is run over each way to attach the filter.
    pub(crate) fn each(
        &mut self,
        name: &str,
        test: impl FnOnce(Lab, Attach) -> Result<()> + Clone + Send + 'static,
    ) {
        for attach in Attach::ALL {
            let test = test.clone();
            let name = format!("{attach}::{name}");
            self.add_since(attach.since(), &attach.to_string(), name, move |lab| test(lab, attach));
        }
    }

    fn add_since(
        &mut self,
        since: Version,
        feature: &str,
        name: String,
        test: impl FnOnce(Lab) -> Result<()> + Send + 'static,
    ) {
        let feature = feature.to_owned();
        self.trials.push(match self.entered {
            Entered::Inside(lab) => Trial::ignorable_test(name, move || {
                let running = kernel()?;
                if running < since {
                    return Ok(Completion::ignored_with(format!(
                        "{feature} needs Linux {since}, this is {running}"
                    )));
                }
                test(lab).map(|()| Completion::Completed).map_err(|error| Failed::from(format!("{error:?}")))
            }),
            Entered::LeftOut(why) => {
                Trial::test(name, move || Err(anyhow!("left out: {why}").into())).with_ignored_flag(true)
            }
        });
    }

    pub(crate) fn run(self, arguments: &Arguments) -> ExitCode {
        if let Entered::LeftOut(why) = self.entered
            && !arguments.list
        {
            println!("left out: {} traffic tests {why}: run `cargo xtask test`", self.trials.len());
        }
        libtest_mimic::run(arguments, self.trials).exit_code()
    }
}
