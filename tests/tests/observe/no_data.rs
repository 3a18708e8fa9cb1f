//! Intervals without traffic, as the clouds say them: `NODATA`, and never beside traffic.

use std::{fs, thread, time::Duration};

use anyhow::{Result, ensure};
use sg_tests::lab::{Attach, Family, Lab, Outcome, Service, slowly};

use super::records::{Log, RULES};
use crate::support::{
    scene::{Client, Role, Server, Stranger, filtered, web},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx], "a_nic_without_traffic_has_no_data", a_nic_without_traffic_has_no_data);
}

/// Start, end and status of each line.
fn intervals(log: &Log) -> Result<Vec<(i64, i64, String)>> {
    let text = fs::read_to_string(&log.file)?;
    let parse = |line: &str| {
        let fields: Vec<_> = line.split(' ').collect();
        ensure!(fields.len() == 14 && fields[2] == "eth0", "{line}");
        Ok((fields[10].parse()?, fields[11].parse()?, fields[13].to_owned()))
    };
    text.lines().map(parse).collect()
}

fn a_nic_without_traffic_has_no_data(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, RULES))?;
    // Both know each other's link address: nothing else is sent.
    let log = Log::of(&agent);
    scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)?;
    agent.stop()?;
    agent.start_with(&[&log.arguments()[..], &["--flow-log-format", "aws"]].concat())?;
    let count =
        |status: &str| anyhow::Ok(intervals(&log)?.iter().filter(|(.., found)| found == status).count());
    slowly("an interval without traffic", || Ok(count("NODATA")? > 0))?;
    // Traffic in each interval: no more of these.
    let before = count("NODATA")?;
    for _ in 0..11 {
        scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)?;
        scene.asks(Stranger, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
        thread::sleep(Duration::from_millis(700));
    }
    let found = intervals(&log)?;
    ensure!(found.iter().any(|(.., status)| status == "OK"), "{found:?}");
    ensure!(found.iter().all(|(start, end, status)| start <= end && status != "SKIPDATA"), "{found:?}");
    let quiet: Vec<_> = found.iter().filter(|(.., status)| status == "NODATA").collect();
    // The interval under way when it began may have ended before the first packet was read.
    ensure!(quiet.len() <= before + 1, "{found:?}");
    ensure!(quiet.iter().all(|(start, end, _)| (8..=22).contains(&(end - start))), "{found:?}");
    Ok(())
}
