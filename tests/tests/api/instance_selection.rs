//! The instance that `sgctl` connects to if several agents run: the one named by `--instance`, or the one whose socket is named.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::Lab;

use crate::support::{served::Served, suite::Suite};

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("the_filter_of_the_agent_whose_socket_is_named", whose_filter);
}

fn whose_filter(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let hosts = [lan.host("asked-a", &["10.79.0.1/24"])?, lan.host("asked-b", &["10.79.0.2/24"])?];
    let served = [Served::start(&hosts[0])?, Served::start(&hosts[1])?];
    // Of each: its rule, which the counters are told by.
    let rules = served.each_ref().map(|served| -> Result<String> {
        served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
        served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
        let rule = r#"{"direction":"ingress","rules":[{"protocol":"tcp","ports":"22","remote":"any"}]}"#;
        let rules = served.done("POST", "/v1/groups/web/rules", rule)?;
        served.done("POST", "/v1/nics", r#"{"vpc":"net","device":"eth0","groups":["web"]}"#)?;
        Ok(rules[0]["id"].as_str().context("no id")?.to_owned())
    });
    let [of_a, of_b] = rules;
    let (of_a, of_b) = (of_a?, of_b?);
    let sgctl = |socket: &str, arguments: &[&str]| -> Result<Output> {
        let mut sgctl = Command::new(served[0].binaries().sgctl());
        sgctl.env("SGCTL_SOCKET", socket).args(arguments).output().context("sgctl does not start")
    };
    let socket = |served: &Served<'_>| served.socket().display().to_string();
    let agent = hosts[0].netns();
    for (socket, arguments, is_of_a) in [
        (socket(&served[0]), &["stats", "--all"][..], true),
        (socket(&served[1]), &["stats", "--all"], false),
        (socket(&served[1]), &["stats", "--all", "--instance", agent], true),
        ("/nowhere".to_owned(), &["stats", "--all", "--instance", agent], true),
    ] {
        let output = sgctl(&socket, arguments)?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{socket} {arguments:?}: {output:?}");
        ensure!(
            (said.contains(&of_a), said.contains(&of_b)) == (is_of_a, !is_of_a),
            "{socket} {arguments:?}: {said}"
        );
    }
    for question in ["stats", "flows"] {
        ensure!(sgctl(&socket(&served[1]), &[question])?.status.success(), "{question} of the socket");
        let nobody = sgctl("/nowhere", &[question])?;
        let said = String::from_utf8_lossy(&nobody.stderr);
        ensure!(!nobody.status.success() && said.contains("/nowhere"), "{question}: {said}");
    }
    Ok(())
}
