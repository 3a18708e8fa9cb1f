//! What happened to traffic, as others read it: collectors, parsers and readers of packets that know nothing of this project.

use std::process::ExitCode;

use anyhow::Result;

mod observe {
    pub(crate) mod aws;
    pub(crate) mod full_disk;
    pub(crate) mod ipfix;
    pub(crate) mod pcapng;
    pub(crate) mod samples;
}
mod support {
    pub(crate) mod suite;
}

use support::suite::{self, features};

fn main() -> Result<ExitCode> {
    suite::run(4, |suite, _| {
        features!(suite:
            observe::aws,
            observe::full_disk,
            observe::ipfix,
            observe::pcapng,
        );
    })
}
