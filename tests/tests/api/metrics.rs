//! The figures of `sgd serve`: ids where `sgd run` has names of a document, and nothing that a client wrote.

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::Lab;

use crate::{
    api::hostile::exchange,
    support::{served::Served, suite::Suite},
};

const METRICS: &[&str] = &["--metrics", "127.0.0.1:9750"];

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_store_s_figures_have_ids", a_store_s_figures_have_ids);
}

fn a_store_s_figures_have_ids(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let host = lan.host("figures", &["10.77.0.1/24"])?;
    let served = Served::start_with(&host, METRICS)?;
    let scrape = || exchange(&host, "127.0.0.1:9750".parse()?, b"GET /metrics HTTP/1.0\r\nHost: a\r\n\r\n");
    ensure!(scrape()?.starts_with("HTTP/1.0 200"), "before there is anything, too");

    served.done("POST", "/v1/vpcs", r#"{"name":"secret-vpc"}"#)?;
    served.done("POST", "/v1/groups", r#"{"name":"secret-web","vpc":"secret-vpc"}"#)?;
    let rules = r#"{"direction":"ingress","rules":[{"name":"secret-rule","protocol":"tcp","ports":"80","remote":"any"}]}"#;
    served.done("POST", "/v1/groups/secret-web/rules", rules)?;
    let nic =
        served.done("POST", "/v1/nics", r#"{"device":"eth0","vpc":"secret-vpc","groups":["secret-web"]}"#)?;
    let nic = nic["id"].as_str().context("no id")?;
    let (status, _) = served.ask("GET", "/v1/groups/secret-missing", "")?;
    ensure!(status == 404);
    let rule = &served.done("GET", "/v1/groups/secret-web/rules", "")?["items"][0];
    let (group, rule) =
        (rule["group"].as_str().context("no group")?, rule["id"].as_str().context("no rule")?);

    let found = scrape()?;
    for wanted in [
        format!("sgd_policy_generation{{nic=\"{nic}\"}}"),
        format!("sgd_packets_total{{nic=\"{nic}\",direction=\"ingress\",verdict=\"drop\"}}"),
        format!("{{group=\"{group}\",rule=\"{rule}\",direction=\"ingress\",action=\"accept\"}}"),
        format!("{{group=\"{group}\",rule=\"intra-group\",direction=\"both\",action=\"accept\"}}"),
    ] {
        ensure!(found.contains(&wanted), "{wanted}: {found}");
    }
    let not_found = "sgd_api_request_duration_seconds_count{api=\"native\",operation=\"";
    let is_it = |line: &&str| line.starts_with(not_found) && line.contains("code=\"404\"");
    ensure!(found.lines().find(is_it).is_some_and(|line| line.ends_with(" 1")), "{found}");
    ensure!(!found.contains("secret") && !found.contains("eth0") && !found.contains("/v1"), "{found}");

    served.done("DELETE", &format!("/v1/nics/{nic}"), "")?;
    let found = scrape()?;
    ensure!(!found.contains(nic) && !found.contains(rule), "{found}");
    Ok(())
}
