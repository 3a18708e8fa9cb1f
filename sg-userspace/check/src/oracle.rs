//! The oracle as an engine.

use sg_model::Policy;
use sg_oracle::Oracle;
use sg_probe::{CheckResult, Probe};

use super::{Engine, EngineError};

/// Evaluates the rules as written.
#[derive(Debug)]
pub struct OracleEngine<'a> {
    policy: &'a Policy,
    oracle: Oracle<'a>,
}

impl<'a> OracleEngine<'a> {
    /// Creates an engine for probes of `policy`.
    #[must_use]
    pub fn new(policy: &'a Policy) -> Self {
        Self { policy, oracle: Oracle::new(policy) }
    }
}

impl Engine for OracleEngine<'_> {
    fn check(&mut self, probe: &Probe) -> Result<CheckResult, EngineError> {
        let nic = probe.nic();
        if nic >= self.policy.nics().len() {
            return Err(EngineError::NoNic { nic });
        }
        Ok(self.oracle.judge(probe))
    }
}
