//! The figures as Prometheus gets them: `promtool` reads them, a real server scrapes a real agent and evaluates the shipped alerts and
//! the queries of the shipped dashboard. The judge of the numbers are the kernel's counters.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{IpAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, Binaries, Family, Host, Lab, Outcome, Service, slowly};

use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, web},
    suite::Suite,
};

const RULES: &str = "
ingress:
  - { id: eighty, protocol: tcp, ports: 80, remote: 10.77.0.0/24 }
  - { id: refused, action: reject, protocol: tcp, ports: 25 }
  - { id: \"from 10.77.0.2\", protocol: udp, ports: 54 }
";
/// The digest of the third rule's id: `printf %s 'from 10.77.0.2' | sha256sum | head -c 16`.
const DIGEST: &str = "sha256:6f9d2274050f3727";

const PORT: u16 = 9750;
const OF_PROMETHEUS: u16 = 9090;
/// What Prometheus 2.42 sends.
const PREFERRED: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                         text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx], "figures_are_what_the_kernel_counts", figures_are_what_the_kernel_counts);
    suite.over(&[Attach::Tcx], "a_real_prometheus_scrapes_them", a_real_prometheus_scrapes_them);
    suite.add("promtool_takes_the_shipped_alerts", |_| {
        promtool(&["check", "rules", &text(&alerts())], "").map(drop)
    });
    suite.add("others_can_reach_them_only_if_that_is_allowed", only_if_allowed);
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

fn alerts() -> PathBuf {
    packaging().join("prometheus/sgd.rules.yaml")
}

fn dashboard() -> PathBuf {
    packaging().join("grafana/sgd.json")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A filtered scene whose agent has figures, and a flow log.
fn measured(lab: Lab, attach: Attach) -> Result<(Scene, Agent)> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, RULES))?;
    let log = format!("file:{}", agent.policy_file().with_file_name("flows.jsonl").display());
    let address = format!("127.0.0.1:{PORT}");
    agent.stop()?;
    agent.start_with(&["--metrics", &address, "--flow-log", &log, "--flow-log-interval", "10s"])?;
    Ok((scene, agent))
}

/// Some packets of every verdict, and a request to the API.
fn traffic(scene: &Scene, agent: &Agent) -> Result<()> {
    let v4 = Family::V4;
    scene.asks(Client, Server, v4, Service::Tcp(80), Outcome::Reply)?;
    scene.asks(Client, Server, v4, Service::Udp(54), Outcome::Reply)?;
    scene.asks(Client, Server, v4, Service::Tcp(25), Outcome::Refused)?;
    scene.asks(Client, Server, v4, Service::Tcp(22), Outcome::Silent)?;
    agent.sgctl(&["status", "--instance", agent.instance()]).map(drop)
}

/// A response: status, head, body.
struct Got {
    status: u16,
    head: String,
    body: String,
}

fn get(host: &Host, port: u16, path: &str, accept: &str) -> Result<Got> {
    host.inside(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n")?;
        let mut got = String::new();
        stream.read_to_string(&mut got)?;
        let (head, body) = got.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        Ok(Got { status, head: head.to_lowercase(), body: body.to_owned() })
    })
}

fn scrape(scene: &Scene) -> Result<Scraped> {
    let got = get(scene.host(Server), PORT, "/metrics", "*/*")?;
    ensure!(
        got.status == 200 && got.head.contains("content-type: text/plain; version=0.0.4"),
        "{}",
        got.head
    );
    Ok(Scraped(got.body))
}

/// Figures in the older form.
struct Scraped(String);

impl Scraped {
    fn series(&self) -> impl Iterator<Item = &str> {
        self.0.lines().filter(|line| !line.starts_with('#'))
    }

    /// The sum of the series that begin so and have all of these labels.
    fn sum(&self, name: &str, labels: &[&str]) -> u64 {
        let begins = format!("{name}{{");
        let is_it =
            |line: &&str| line.starts_with(&begins) && labels.iter().all(|label| line.contains(label));
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        self.series().filter(is_it).filter_map(value).sum()
    }

    /// The names of metrics, and of the series of histograms.
    fn names(&self) -> BTreeSet<&str> {
        self.series().filter_map(|line| line.split(['{', ' ']).next()).collect()
    }

    fn label_values(&self) -> impl Iterator<Item = &str> {
        self.series().flat_map(|line| line.split('"').skip(1).step_by(2))
    }
}

fn promtool(arguments: &[&str], input: &str) -> Result<String> {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool")?;
    promtool.stdin.take().context("no standard input")?.write_all(input.as_bytes())?;
    let output = promtool.wait_with_output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "promtool {arguments:?}: {said}");
    Ok(said)
}

/// The names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("sgd_") || word.starts_with("process_")).collect()
}

fn figures_are_what_the_kernel_counts(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = measured(lab, attach)?;
    traffic(&scene, &agent)?;

    // The kernel's own packets may still come in between.
    let (before, found, after) = (agent.stats()?, scrape(&scene)?, agent.stats()?);
    for rule in ["eighty", "refused"] {
        let label = format!("rule=\"{rule}\"");
        let packets =
            found.sum("sgd_rule_packets_total", &["group=\"web\"", &label, "direction=\"ingress\""]);
        let counted = before.rule(rule)..=after.rule(rule);
        ensure!(counted.contains(&packets) && packets > 0, "{rule}: {packets}, {counted:?}: {}", found.0);
    }
    let default = found.sum("sgd_reason_packets_total", &["reason=\"default\"", "direction=\"ingress\""]);
    let counted = before.default_of("ingress")..=after.default_of("ingress");
    ensure!(counted.contains(&default) && default > 0, "{default}, {counted:?}");
    for (name, labels) in [
        ("sgd_build_info", &["abi="][..]),
        ("sgd_policy_generation", &["nic=\"eth0\""]),
        ("sgd_image_bytes", &["nic=\"eth0\""]),
        ("sgd_flow_capacity", &["family=\"ipv4\""]),
        ("sgd_policy_apply_duration_seconds_bucket", &["le=\"+Inf\""]),
        ("sgd_api_request_duration_seconds_count", &["api=\"native\"", "operation=", "code=\"200\""]),
    ] {
        ensure!(found.sum(name, labels) > 0, "{name}: {}", found.0);
    }

    // Sums of what is reported reach what was counted, and never exceed it.
    let mut last = String::new();
    let reached = slowly("what was reported is what was counted", || {
        let (found, stats) = (scrape(&scene)?, agent.stats()?);
        let sum = |verdict: &str| {
            found.sum("sgd_packets_total", &["nic=\"eth0\"", &format!("verdict=\"{verdict}\"")])
        };
        let accepted = stats.rule("eighty") + stats.rule("from 10.77.0.2") + stats.default_of("egress");
        let counted = [accepted, stats.default_of("ingress"), stats.rule("refused")];
        let reported = ["accept", "drop", "reject"].map(sum);
        last = format!("{reported:?} of {counted:?}: {}", found.0);
        ensure!(reported.iter().zip(&counted).all(|(reported, counted)| reported <= counted), "{last}");
        Ok(reported == counted)
    });
    reached.with_context(|| last)?;
    let found = scrape(&scene)?;

    // No address, and no text of the document. A time may look like part of an address, so only labels count.
    let mut labels = found.label_values();
    ensure!(labels.any(|value| value == DIGEST), "{}", found.0);
    for value in found.label_values() {
        let is_clean = value.parse::<IpAddr>().is_err() && !value.contains(' ') && !value.contains("10.77");
        ensure!(is_clean, "{value}");
    }

    promtool(&["check", "metrics"], &found.0)?;
    let open = get(scene.host(Server), PORT, "/metrics", PREFERRED)?;
    ensure!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    ensure!(open.body.ends_with("# EOF\n"));
    for (path, status) in [("/", 200), ("/v1/status", 404), ("/metrics/x", 404)] {
        let got = get(scene.host(Server), PORT, path, "*/*")?;
        ensure!(got.status == status && got.body.contains("/metrics"), "{path}: {} {}", got.status, got.body);
    }

    // Everything that is shipped exists.
    let (alerts, dashboard) = (fs::read_to_string(alerts())?, fs::read_to_string(dashboard())?);
    let wanted: BTreeSet<&str> = named(&alerts).union(&named(&dashboard)).copied().collect();
    let missing: Vec<_> = wanted.difference(&found.names()).copied().collect();
    ensure!(wanted.len() > 20 && missing.is_empty(), "no such metrics: {missing:?}\n{}", found.0);

    // What is gone has no series.
    ensure!(found.sum("sgd_rule_packets_total", &["rule=\"refused\""]) > 0);
    agent.apply(&web(Role::Host, "ingress: [{ id: eighty, protocol: tcp, ports: 80 }]"))?;
    let found = scrape(&scene)?;
    ensure!(!found.0.contains("refused\"") && found.0.contains("rule=\"eighty\""), "{}", found.0);
    agent.refuses("groups: { web: {} }\nnics: []\n")?;
    ensure!(scrape(&scene)?.sum("sgd_policy_refused_total", &["cause=\"guard\""]) == 1);
    agent.apply("groups: { web: {} }\nnics: []\nallow_unfiltered: [eth0]\n")?;
    let found = scrape(&scene)?;
    ensure!(!found.0.contains("eth0"), "{}", found.0);
    agent.refuses("groups: 7\n")?;
    ensure!(scrape(&scene)?.sum("sgd_policy_refused_total", &["cause=\"document\""]) == 1);
    Ok(())
}

/// A server of Prometheus, which ends with the test.
struct Prometheus<'h> {
    host: &'h Host,
    child: Child,
}

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl<'h> Prometheus<'h> {
    fn start(host: &'h Host, directory: &Path) -> Result<Self> {
        let config = directory.join("prometheus.yaml");
        let content = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n  - job_name: sgd\n    static_configs: [{{ targets: ['127.0.0.1:{PORT}'] }}]\n",
            alerts().canonicalize()?.display()
        );
        fs::write(&config, content)?;
        promtool(&["check", "config", &text(&config)], "")?;
        let mut prometheus = Command::new("prometheus");
        prometheus
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("prometheus").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{OF_PROMETHEUS}"))
            .args(["--log.level=error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let child = host.spawn(&mut prometheus)?;
        let server = Self { host, child };
        slowly("Prometheus starts", || {
            Ok(get(host, OF_PROMETHEUS, "/-/ready", "*/*").is_ok_and(|got| got.status == 200))
        })?;
        Ok(server)
    }

    fn api(&self, path: &str) -> Result<Value> {
        let got = get(self.host, OF_PROMETHEUS, &format!("/api/v1/{path}"), "*/*")?;
        let value: Value = serde_json::from_str(&got.body).with_context(|| got.body.clone())?;
        ensure!(value["status"] == "success", "{path}: {value}");
        Ok(value["data"].clone())
    }

    /// The results of a query.
    fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut query = "query?query=".to_owned();
        expression.bytes().try_for_each(|byte| write!(query, "%{byte:02x}"))?;
        let data = self.api(&query)?;
        data["result"].as_array().cloned().context("no result")
    }

    /// The value of a query with one result.
    fn value(&self, expression: &str) -> Result<f64> {
        let found = self.query(expression)?;
        let value = found.first().and_then(|one| one["value"][1].as_str());
        Ok(value.map_or(Ok(0.0), str::parse)?)
    }
}

/// Every query of the dashboard, with values for its variables.
fn queries() -> Result<Vec<String>> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                into.extend(fields.get("expr").and_then(Value::as_str).map(ToOwned::to_owned));
                fields.values().for_each(|value| collect(value, into));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut queries = Vec::new();
    collect(&serde_json::from_str(&fs::read_to_string(dashboard())?)?, &mut queries);
    let filled = |query: String| {
        query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$nic", ".*")
    };
    Ok(queries.into_iter().map(filled).collect())
}

fn a_real_prometheus_scrapes_them(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = measured(lab, attach)?;
    let directory = agent.policy_file().parent().context("no directory")?.to_owned();
    let prometheus = Prometheus::start(scene.host(Server), &directory)?;
    slowly("the first scrape", || Ok(prometheus.value("up{job=\"sgd\"}")? > 0.0))?;
    // What counts is what moves while it looks.
    slowly("the rate of accepted packets", || {
        traffic(&scene, &agent)?;
        Ok(prometheus.value("sum(rate(sgd_rule_packets_total{action=\"accept\",rule=\"eighty\"}[1m]))")?
            > 0.0)
    })?;
    slowly("the rate of accepted packets of the NIC", || {
        Ok(prometheus.value("sum by (nic) (rate(sgd_packets_total{nic=\"eth0\",verdict=\"accept\"}[1m]))")?
            > 0.0)
    })?;

    // Queries that show only what is above zero may show nothing.
    let queries = queries()?;
    ensure!(queries.len() > 20);
    let mut empty = Vec::new();
    let shown = slowly("the dashboard", || {
        empty.clear();
        for query in &queries {
            if prometheus.query(query)?.is_empty() && !query.contains("> 0") {
                empty.push(query.clone());
            }
        }
        Ok(empty.is_empty())
    });
    if let Err(error) = shown {
        bail!("{error}: nothing is shown by {empty:#?}");
    }

    let groups = prometheus.api("rules")?;
    let rules = groups["groups"][0]["rules"].as_array().cloned().context("no rules")?;
    ensure!(rules.len() > 5, "{groups}");
    for rule in &rules {
        ensure!(rule["health"] == "ok" && rule["lastError"].as_str().is_none_or(str::is_empty), "{rule}");
        ensure!(rule["name"] != "SgdDown" || rule["state"] == "inactive", "{rule}");
    }
    Ok(())
}

fn only_if_allowed(lab: Lab) -> Result<()> {
    let host = lab.host("exposed")?;
    let mut sgd = Command::new(Binaries::find()?.sgd());
    sgd.args(["run", "--policy", "/nowhere.yaml", "--metrics", "0.0.0.0:9750", "--instance", host.netns()]);
    let sgd = host.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let output = sgd.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("--expose") && said.contains("0.0.0.0:9750"), "{said}");
    Ok(())
}
