//! A sample as text, in either form. It must never read a counter, and never write a metric that is not in the table. Called by
//! `scrape`.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabel as _, EncodeLabelSet,
        EncodeMetric, LabelSetEncoder, MetricEncoder, NoLabelSet, prometheus_text, text as open_metrics,
    },
    metrics::MetricType,
    registry::Registry,
};
use sg_common::abi;

use crate::{
    Format, Measured, MetricsError,
    process::Process,
    sample::{NicSample, RuleSample, Sample},
    table::{self, Kind, Metric},
};

/// What a scrape writes at first; it grows with the policy.
const USUAL_BYTES: usize = 64 << 10;

pub(crate) fn text(sample: Sample, measured: &Measured, format: Format) -> Result<String, MetricsError> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { sample, measured: measured.clone() }));
    let mut text = String::with_capacity(USUAL_BYTES);
    match format {
        Format::OpenMetrics => open_metrics::encode(&mut text, &registry)?,
        Format::Text => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

/// The one collector of a scrape.
#[derive(Debug)]
struct Scrape {
    sample: Sample,
    measured: Measured,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        let Self { sample, measured } = self;
        let Sample {
            nics,
            rules,
            not_exported,
            host_reasons,
            live,
            flow_capacity,
            applied,
            lost,
            sinks,
            process,
        } = sample;
        let build = [env!("CARGO_PKG_VERSION"), &abi::VERSION.to_string()];
        infos(to, &table::BUILD, [build])?;
        of_nics(to, nics)?;
        of_rules(to, rules)?;
        gauges(to, &table::RULES_NOT_EXPORTED, [([], *not_exported as u64)])?;
        let of_nics = nics.iter().flat_map(|nic| {
            nic.reasons
                .iter()
                .map(|(direction, reason, packets)| ([&*nic.nic, *direction, *reason], *packets))
        });
        let of_host = host_reasons.iter().map(|(reason, packets)| (["", "", *reason], *packets));
        counters(to, &table::REASON_PACKETS, of_host.chain(of_nics))?;
        if let Some(live) = live {
            let states = |family, [established, half_open]: [u64; 2]| {
                [([family, "established"], established), ([family, "half-open"], half_open)]
            };
            gauges(to, &table::FLOWS, states("ipv4", live.v4).into_iter().chain(states("ipv6", live.v6)))?;
        }
        let capacity =
            flow_capacity.iter().flat_map(|flows| ["ipv4", "ipv6"].map(|family| ([family], *flows)));
        gauges(to, &table::FLOW_CAPACITY, capacity)?;
        let full = nics
            .iter()
            .flat_map(|nic| nic.full.iter().map(|(why, packets)| ([&*nic.nic, why.name()], *packets)));
        counters(to, &table::FLOW_FULL, full)?;
        histogram(to, &table::AGEING, measured.ageing())?;
        gauges(to, &table::GENERATION, nics.iter().map(|nic| ([&*nic.nic], u64::from(nic.generation))))?;
        gauges(to, &table::APPLIED, applied.iter().map(|at| ([], seconds(*at))))?;
        histogram(to, &table::APPLY, measured.apply())?;
        counters(to, &table::REFUSED, measured.refusals().map(|(cause, count)| ([cause.name()], count)))?;
        gauges(to, &table::IMAGE_BYTES, nics.iter().filter_map(|nic| Some(([&*nic.nic], nic.image_bytes?))))?;
        counters(to, &table::EVENTS_LOST, lost.iter().map(|(place, count)| ([*place], *count)))?;
        counters(to, &table::FLOW_LOG_RECORDS, sinks.iter().map(|sink| ([&*sink.sink], sink.records)))?;
        let of_sinks =
            sinks.iter().flat_map(|sink| sink.lost.iter().map(|(why, count)| ([&*sink.sink, *why], *count)));
        counters(to, &table::FLOW_LOG_LOST, of_sinks)?;
        if !measured.requests().is_empty() {
            histogram(to, &table::API_REQUEST, measured.requests())?;
        }
        process.as_ref().map_or(Ok(()), |process| of_process(to, process))
    }
}

fn of_nics(to: &mut DescriptorEncoder<'_>, nics: &[NicSample]) -> fmt::Result {
    let totals = || {
        nics.iter().flat_map(|nic| {
            nic.totals
                .iter()
                .map(|(direction, verdict, counter)| ([&*nic.nic, *direction, *verdict], counter))
        })
    };
    counters(to, &table::PACKETS, totals().map(|(labels, counter)| (labels, counter.packets)))?;
    counters(to, &table::BYTES, totals().map(|(labels, counter)| (labels, counter.bytes)))
}

fn of_rules(to: &mut DescriptorEncoder<'_>, rules: &[RuleSample]) -> fmt::Result {
    let rows = || rules.iter().map(|rule| ([&*rule.group, &*rule.rule, rule.direction, rule.action], rule));
    counters(to, &table::RULE_PACKETS, rows().map(|(labels, rule)| (labels, rule.counter.packets)))?;
    counters(to, &table::RULE_BYTES, rows().map(|(labels, rule)| (labels, rule.counter.bytes)))?;
    let hits = rows().filter_map(|(labels, rule)| Some((labels, seconds(rule.last_hit?))));
    gauges(to, &table::RULE_LAST_HIT, hits)
}

fn of_process(to: &mut DescriptorEncoder<'_>, process: &Process) -> fmt::Result {
    let Process { cpu, resident_bytes, virtual_bytes, threads, started, open, most_open } = process;
    counters(to, &table::CPU, [([], cpu.as_secs_f64())])?;
    gauges(to, &table::RESIDENT, [([], *resident_bytes)])?;
    gauges(to, &table::VIRTUAL, [([], *virtual_bytes)])?;
    gauges(to, &table::OPEN_FDS, [([], *open)])?;
    gauges(to, &table::MAX_FDS, most_open.iter().map(|most| ([], *most)))?;
    gauges(to, &table::THREADS, [([], *threads)])?;
    gauges(to, &table::START, [([], started.as_secs_f64())])
}

/// The values of a series' labels, in the order of the table. One that is empty is left out, which means the same.
struct Labels<'a, const N: usize> {
    names: &'static [&'static str],
    values: [&'a str; N],
}

impl<const N: usize> EncodeLabelSet for Labels<'_, N> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let labels = self.names.iter().zip(self.values).filter(|(_, value)| !value.is_empty());
        labels.map(|(name, value)| (*name, value)).try_for_each(|label| label.encode(encoder.encode_label()))
    }
}

fn counters<'a, V: EncodeCounterValue, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    rows: impl IntoIterator<Item = ([&'a str; N], V)>,
) -> fmt::Result {
    family(to, metric, rows, |mut encoder, value| encoder.encode_counter::<NoLabelSet, V, u64>(&value, None))
}

fn gauges<'a, V: EncodeGaugeValue, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    rows: impl IntoIterator<Item = ([&'a str; N], V)>,
) -> fmt::Result {
    family(to, metric, rows, |mut encoder, value| encoder.encode_gauge(&value))
}

fn infos<'a, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    rows: impl IntoIterator<Item = [&'a str; N]>,
) -> fmt::Result {
    let mut encoder = begin(to, metric)?;
    rows.into_iter().try_for_each(|values| encoder.encode_info(&Labels { names: metric.labels, values }))
}

fn histogram(
    to: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    histogram: &impl EncodeMetric,
) -> fmt::Result {
    histogram.encode(begin(to, metric)?)
}

/// Writes the series of a metric; without any, nothing at all.
fn family<'a, V, const N: usize>(
    to: &mut DescriptorEncoder<'_>,
    metric: &'static Metric,
    rows: impl IntoIterator<Item = ([&'a str; N], V)>,
    write: impl Fn(MetricEncoder<'_>, V) -> fmt::Result,
) -> fmt::Result {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut encoder = begin(to, metric)?;
    rows.try_for_each(|(values, value)| {
        let labels = Labels { names: metric.labels, values };
        write(encoder.encode_family(&labels)?, value)
    })
}

/// Writes what a metric is.
fn begin<'a>(
    to: &'a mut DescriptorEncoder<'_>,
    metric: &'static Metric,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    let kind = match metric.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
        Kind::Info => MetricType::Info,
    };
    to.encode_descriptor(metric.stem(), metric.help, None, kind)
}

/// Seconds since the epoch.
fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}
