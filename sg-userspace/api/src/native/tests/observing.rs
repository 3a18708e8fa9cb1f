//! Clients that observe: as many as there are places, and no more.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Method, Response},
};
use jiff::Timestamp;
use sg_inspect::last_hits::LastHits;
use sg_observe::{
    history::Observed,
    record::{Event, Record},
};
use tokio::time::sleep;
use tower::ServiceExt as _;

use super::{Caller, Instance, Native, Recording, request, router};

/// A client that reads too slowly holds its place, and gives it back when it goes.
#[tokio::test]
async fn there_is_a_maximum_of_followers_and_of_readers() {
    let observed = Arc::<Observed>::default();
    let now = Timestamp::now();
    let mut record = Record::new(Event::Denied, now, now);
    record.rule = Some("x".repeat(200));
    // More than a response holds before its client reads.
    let record = Arc::new(record);
    observed.append(&vec![Arc::clone(&record); 5_000]);
    let instance = Instance::new("native-test").unwrap();
    let face = router(Native {
        service: None,
        hits: LastHits::of_nothing(&instance),
        instance,
        region: "local".into(),
        observed: Arc::clone(&observed),
        places: Arc::default(),
        caller: Caller::Socket,
        attempts: Arc::default(),
        control: None,
        documents: None,
        recording: Recording::default(),
    });
    let ask = |path: &'static str| {
        let (face, request) = (face.clone(), request(Method::GET, path, Body::empty()));
        async move { face.oneshot(request).await.unwrap() }
    };
    for path in ["/v1/observe", "/v1/observe?follow=true"] {
        let mut held: Vec<Response<Body>> = Vec::new();
        for _ in 0..8 {
            held.push(ask(path).await);
        }
        assert!(held.iter().all(|response| response.status() == 200), "{path}: {held:?}");
        assert_eq!(ask(path).await.status(), 429, "{path}");
        held.pop();
        // Who is gone is noticed when something is sent.
        let mut tries = 0;
        while ask(path).await.status() == 429 {
            tries += 1;
            assert!(tries < 1_000, "{path}: no place after a client is gone");
            observed.append(&[Arc::clone(&record)]);
            sleep(Duration::from_millis(10)).await;
        }
    }
}
