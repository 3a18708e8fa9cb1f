//! `GET /v1/observe`: records of traffic, those that are remembered and those to come, as lines of JSON. It must never make the
//! observer wait: a client that reads too slowly loses records, and is told how many. `mod.rs` calls `declare` once.

use std::{str::FromStr as _, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::channel::Channel;
use jiff::Timestamp;
use sg_api_types::ObserveQuery;
use sg_observe::{
    aggregate::{Aggregate, Fields, MAX_SUMS},
    filter::Filter,
    history::{Packets, Watched, Watcher},
    record::{Event, Record},
};
use sg_records::KeyRole;

use super::{
    Native,
    error::Failed,
    request::RequestContext,
    routes::{Route, Routes},
};

/// Records that wait for a client: half a second at the highest rate.
const QUEUE: usize = 1 << 16;
/// How often sums are sent.
const SUMMING: Duration = Duration::from_secs(5);
/// The size at which a piece of the response is sent though more is there.
const PIECE: usize = 64 << 10;

pub(super) fn declare(routes: &mut Routes) {
    let route = Route::get("/v1/observe", "Observe traffic: records that are remembered, and those to come");
    routes.stream::<Record>(route.with::<ObserveQuery>().needs(KeyRole::Viewer), observe);
}

/// What a request asks for.
struct Asked {
    follow: bool,
    last: Option<usize>,
    packets: Packets,
    sums: Option<Fields>,
    filter: Filter,
}

fn asked(context: &RequestContext) -> Result<Asked, Failed> {
    let mut asked =
        Asked { follow: false, last: None, packets: Packets::None, sums: None, filter: Filter::default() };
    let now = Timestamp::now();
    for (name, value) in context.pairs() {
        let malformed = |allowed: &str| Failed::Malformed(format!("{name}: {value:?} is not {allowed}"));
        match &*name {
            "follow" => asked.follow = value.parse().map_err(|_| malformed("true or false"))?,
            "last" => asked.last = Some(value.parse().map_err(|_| malformed("a number"))?),
            "packets" => {
                asked.packets = match &*value {
                    "none" => Packets::None,
                    "each" => Packets::Each,
                    "frames" => Packets::Frames,
                    _ => return Err(malformed("none, each or frames")),
                }
            }
            "aggregate_by" => {
                let fields = Fields::from_str(&value);
                asked.sums = Some(fields.map_err(|error| Failed::Malformed(error.to_string()))?);
            }
            key => {
                let added = asked.filter.add(key, &value, now);
                added.map_err(|error| Failed::Malformed(error.to_string()))?;
            }
        }
    }
    if asked.packets != Packets::None && !asked.follow {
        return Err(Failed::Malformed(
            "packets: single packets are not remembered; add follow=true".to_owned(),
        ));
    }
    Ok(asked)
}

fn observe(native: &Native, context: &RequestContext) -> Result<Body, Failed> {
    let Asked { follow, last, packets, sums, filter } = asked(context)?;
    let observed = &native.observed;
    if !follow {
        let records = observed.read(&filter, last);
        let records = sums.map_or(records.clone(), |fields| {
            let mut sums = Aggregate::new(&fields, MAX_SUMS);
            for record in &records {
                sums.add(record);
            }
            sums.take()
        });
        let (mut sender, body) = Channel::<Bytes, std::convert::Infallible>::new(2);
        tokio::spawn(async move {
            let mut piece = Vec::with_capacity(PIECE * 2);
            for record in records {
                write(&record, &mut piece);
                if piece.len() >= PIECE && sender.send_data(std::mem::take(&mut piece).into()).await.is_err()
                {
                    return;
                }
            }
            let _ = sender.send_data(piece.into()).await;
        });
        return Ok(Body::new(body));
    }
    let wants_past = last.is_some() || filter.since.is_some();
    let watched = if packets != Packets::None {
        observed.watch_packets(filter, packets, QUEUE).map(|watcher| (Vec::new(), watcher))
    } else if wants_past {
        observed.read_and_watch(&filter, last, QUEUE)
    } else {
        observed.watch(filter, QUEUE).map(|watcher| (Vec::new(), watcher))
    };
    let (past, watcher) = watched.map_err(|error| Failed::TooMany(error.to_string()))?;
    let (sender, body) = Channel::new(2);
    let stream = Stream { sender, piece: Vec::with_capacity(PIECE * 2) };
    tokio::spawn(async move {
        // The client is gone.
        let _ = match sums {
            None => stream.records(past, watcher).await,
            Some(fields) => stream.sums(&fields, &past, watcher).await,
        };
    });
    Ok(Body::new(body))
}

fn write(record: &Record, piece: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *piece, record).is_ok() {
        piece.push(b'\n');
    }
}

/// The client is gone.
struct Gone;

/// A response that goes on.
struct Stream {
    sender: http_body_util::channel::Sender<Bytes, std::convert::Infallible>,
    piece: Vec<u8>,
}

impl Stream {
    async fn records(mut self, past: Vec<Record>, mut watcher: Watcher) -> Result<(), Gone> {
        // A head without a body would wait for the first record.
        self.flush().await?;
        for record in past {
            self.add(&record).await?;
        }
        self.flush().await?;
        while let Some(watched) = watcher.next().await {
            self.add(one(&watched)).await?;
            while let Some(watched) = watcher.ready() {
                self.add(one(&watched)).await?;
            }
            self.flush().await?;
        }
        Ok(())
    }

    async fn sums(mut self, fields: &Fields, past: &[Record], mut watcher: Watcher) -> Result<(), Gone> {
        let mut sums = Aggregate::new(fields, MAX_SUMS);
        for record in past {
            sums.add(record);
        }
        let mut clock = tokio::time::interval(SUMMING);
        loop {
            tokio::select! {
                watched = watcher.next() => match watched {
                    Some(watched) => {
                        let record = one(&watched);
                        let counts = !record.live || record.event == Event::Lost;
                        if counts && !sums.add(record) {
                            self.add(record).await?;
                        }
                    }
                    None => return Ok(()),
                },
                _ = clock.tick() => {
                    for record in sums.take() {
                        self.add(&record).await?;
                    }
                    self.flush().await?;
                }
            }
        }
    }

    async fn add(&mut self, record: &Record) -> Result<(), Gone> {
        write(record, &mut self.piece);
        if self.piece.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE * 2));
        self.sender.send_data(piece.into()).await.map_err(|_| Gone)
    }
}

fn one(watched: &Watched) -> &Record {
    match watched {
        Watched::Record(record) => record,
        Watched::Lost(record) => record,
    }
}
