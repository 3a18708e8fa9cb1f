//! One service in memory behind both routers, and requests to them that are signed as clients sign them. It must never know what a
//! request means.

use std::{cell::Cell, fmt};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request},
};
use http_body_util::BodyExt;
use serde_json::Value;
use sg_service::{
    Operation, Refusal, Service,
    in_memory::{InForce, Remembers},
};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::{
    ecs::{self, Ecs, tests as of_ecs},
    huawei::{self, Huawei, tests as of_huawei},
};

/// The region of everything.
pub(super) const REGION: &str = of_huawei::REGION;

/// Both APIs on one state.
pub(super) struct Faces {
    pub(super) service: Service,
    store: Remembers,
    alibaba: Router,
    huawei: Router,
    nonce: Cell<u64>,
    runtime: Runtime,
}

/// A response.
pub(super) struct Reply {
    /// What was requested, for messages.
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// `null` if it has no body.
    pub(super) body: Value,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {}", self.status, self.request, self.body)
    }
}

impl Faces {
    pub(super) fn new() -> Self {
        let store = Remembers::default();
        let (service, _) = Service::start(Box::new(store.clone()), InForce::default()).unwrap();
        let alibaba = ecs::router(Ecs { service: service.clone(), ..of_ecs::ecs(of_ecs::NOW) });
        let huawei = huawei::router(Huawei { service: service.clone(), ..of_huawei::huawei() });
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { service, store, alibaba, huawei, nonce: Cell::new(0), runtime }
    }

    /// Runs an operation of the service.
    pub(super) fn run<O: Operation>(&self, operation: O) -> Result<O::Output, Refusal> {
        self.runtime.block_on(self.service.submit(operation))
    }

    /// Calls an action of Alibaba Cloud ECS.
    pub(super) fn ecs(&self, action: &str, parameters: &[(&str, &str)]) -> Reply {
        self.nonce.set(self.nonce.get() + 1);
        let mut all = of_ecs::common(action, &self.nonce.get().to_string());
        all.insert("RegionId".to_owned(), REGION.to_owned());
        all.extend(parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.runtime.block_on(read(&self.alibaba, of_ecs::get(all), format!("{action} {parameters:?}")))
    }

    /// Sends a request to the Huawei Cloud API. `{project_id}` in the target becomes the id of the project.
    pub(super) fn huawei(&self, method: Method, target: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.huawei_with(method, target, &body, |_| ())
    }

    /// The same with any body; `change` may edit the headers before they are signed.
    pub(super) fn huawei_with(
        &self,
        method: Method,
        target: &str,
        body: &str,
        change: impl FnOnce(&mut HeaderMap),
    ) -> Reply {
        let said = format!("{method} {target} {body}");
        let mut request = of_huawei::unsigned(method, target, body);
        change(request.headers_mut());
        self.runtime.block_on(async {
            let request = of_huawei::sign(request).await;
            read(&self.huawei, request, said).await
        })
    }

    /// Shows something of the Huawei Cloud API.
    pub(super) fn show(&self, target: &str) -> Value {
        let reply = self.huawei(Method::GET, target, &Value::Null);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// All that the store holds, as the export has it.
    pub(super) fn export(&self) -> Vec<u8> {
        let records: Vec<_> = self.store.0.lock().unwrap().values().cloned().collect();
        let mut bytes = Vec::new();
        sg_store::export(records, &mut bytes, true).unwrap();
        bytes
    }
}

async fn read(router: &Router, request: Request<Body>, said: String) -> Reply {
    let response = router.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        let is_json = headers["content-type"].to_str().unwrap().starts_with("application/json");
        assert!(is_json, "{said}: {headers:?}");
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{said}: {error}"))
    };
    Reply { request: said, status, headers, body }
}

/// `group` at the end of a name of the vendor's, such as `SecurityGroupId.1`.
pub(super) fn numbered(name: &str, values: &[String]) -> Vec<(String, String)> {
    values.iter().enumerate().map(|(at, value)| (format!("{name}.{}", at + 1), value.clone())).collect()
}

/// The parameters of a call, borrowed.
pub(super) fn borrowed(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
