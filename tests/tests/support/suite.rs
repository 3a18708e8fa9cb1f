//! The list of tests that need a lab, and what each needs. The programs of tests over real packets own one; each test is named
//! after its feature: the folder and the file it is in.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use sg_tests::lab::{Attach, Binaries, Entered, Lab, kernel};

pub(crate) struct Suite {
    entered: Entered,
    /// What is missing to filter at all.
    missing: Option<String>,
    /// What the tests that are added are about.
    feature: &'static str,
    trials: Vec<Trial>,
}

/// Adds the tests of these features, which are modules with a function `tests`.
macro_rules! features {
    ($suite:ident: $($folder:ident::$file:ident),+ $(,)?) => {
        $(
            $suite.feature(concat!(stringify!($folder), "::", stringify!($file)));
            crate::$folder::$file::tests($suite);
        )+
    };
}
pub(crate) use features;

/// The program: enters the lab, and runs the tests that `add` adds, so many at once unless its arguments say otherwise.
pub(crate) fn run(at_once: usize, add: impl FnOnce(&mut Suite, &Arguments)) -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(at_once));
    let mut suite = Suite::new(if arguments.list { Entered::LeftOut("to be run") } else { Lab::enter()? });
    add(&mut suite, &arguments);
    Ok(suite.run(&arguments))
}

impl Suite {
    fn new(entered: Entered) -> Self {
        let missing = Binaries::find().err().map(|error| error.to_string());
        // `cargo xtask test` builds them and says where they are; a plain `cargo test` need not have them.
        let expected = std::env::var_os("SG_BIN_DIR").is_some();
        let entered = match entered {
            Entered::Inside(_) if missing.is_some() && !expected => Entered::LeftOut("sgd and sgctl"),
            // This binary has the programs where sgd has them: the same build script made them, or could not.
            Entered::Inside(_) if !sg_kernel::has_programs() && !expected => {
                Entered::LeftOut("the eBPF programs")
            }
            entered => entered,
        };
        Self { entered, missing, feature: "", trials: Vec::new() }
    }

    /// The tests that are added from now on are about `feature`.
    pub(crate) fn feature(&mut self, feature: &'static str) {
        self.feature = feature;
    }

    /// A test that needs no filter.
    #[allow(dead_code, reason = "this file is part of several programs, and one of them has no such test")]
    pub(crate) fn add(&mut self, name: &str, test: impl FnOnce(Lab) -> Result<()> + Send + 'static) {
        self.push(name, |lab| test(lab).map(|()| Completion::Completed));
    }

    /// A test that is run over each way to attach the filter.
    #[allow(dead_code, reason = "this file is part of two programs, and one of them has no such test")]
    pub(crate) fn each(
        &mut self,
        name: &str,
        test: impl FnOnce(Lab, Attach) -> Result<()> + Clone + Send + 'static,
    ) {
        self.over(&Attach::ALL, name, test);
    }

    /// A test that is run over some ways to attach the filter.
    pub(crate) fn over(
        &mut self,
        ways: &[Attach],
        name: &str,
        test: impl FnOnce(Lab, Attach) -> Result<()> + Clone + Send + 'static,
    ) {
        for &attach in ways {
            let (test, missing) = (test.clone(), self.missing.is_some());
            self.push(&format!("{name}::{attach}"), move |lab| {
                ensure!(!missing, "sgd or sgctl is missing, see above");
                let (needed, running) = (attach.since(), kernel()?);
                if running < needed {
                    let why = format!("{attach} needs Linux {needed}, this is {running}");
                    return Ok(Completion::ignored_with(why));
                }
                test(lab, attach).map(|()| Completion::Completed)
            });
        }
    }

    /// A test that needs something beside; `missing` says what, and how to get it.
    #[allow(dead_code, reason = "this file is part of two programs, and one of them has no such test")]
    pub(crate) fn when(
        &mut self,
        name: &str,
        missing: Option<String>,
        test: impl FnOnce(Lab) -> Result<()> + Send + 'static,
    ) {
        self.push(name, |lab| match missing {
            Some(missing) => Ok(Completion::ignored_with(missing)),
            None => test(lab).map(|()| Completion::Completed),
        });
    }

    fn push(&mut self, name: &str, test: impl FnOnce(Lab) -> Result<Completion> + Send + 'static) {
        let name = format!("{}::{name}", self.feature);
        self.trials.push(match self.entered {
            Entered::Inside(lab) => Trial::ignorable_test(name, move || {
                test(lab).map_err(|error| Failed::from(format!("{error:?}")))
            }),
            Entered::LeftOut(why) => Trial::test(name, move || Err(format!("left out: needs {why}").into()))
                .with_ignored_flag(true),
        });
    }

    fn run(self, arguments: &Arguments) -> ExitCode {
        if let Entered::LeftOut(why) = self.entered {
            if !arguments.list {
                println!("left out: {} tests need {why}: run `cargo xtask test`", self.trials.len());
            }
        } else if let Some(missing) = self.missing {
            println!("{missing}");
        }
        libtest_mimic::run(arguments, self.trials).exit_code()
    }
}
