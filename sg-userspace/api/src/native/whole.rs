//! Routes that are not of one noun: checks, lint, documents, exports, access keys, quotas.
//!
//! They must never decide what is allowed. `mod.rs` calls `declare` once.

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::Deserialize;
use sg_api_types::Age;
use sg_records::Quotas;
use sg_service::{
    AccessKeyView, Apply, CheckPacket, Checked, CommonCheck, CreateAccessKey, DeleteAccessKey, Finding,
    ModifyQuotas, Refusal, ReplaceState, Scope, Service, State, check_common, check_packet, check_stored,
    lint, lint_policy,
};
use sg_store::{Export, ImportError, Importer, transfer};
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use sg_records::KeyRole::{Admin, Editor, Viewer};

use super::{
    error::Failed,
    host::facts,
    request::RequestContext,
    route::Route,
    routes::{Routes, Upload},
    unused,
};

/// Parameters of the common checks.
#[derive(Clone, Debug, Deserialize, IntoParams)]
struct CommonQuery {
    /// Id, name or device of the NIC. The id or name of an instance means its primary NIC. Required.
    nic: String,
    /// Remote address, from which the packets come. Required.
    #[param(value_type = String)]
    remote: IpAddr,
}

/// Selects the rules to check. Default: all groups, each by itself.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
struct LintQuery {
    /// Id or name of a group, to be checked by itself. Excludes `nic`.
    group: Option<String>,
    /// Id, name or device of a NIC whose groups are checked together. The id or name of an instance means its primary NIC.
    /// Excludes `group`.
    nic: Option<String>,
    /// Find rules as unused that decided no packet on this host for at least so long, such as `30d`. Default: 7d.
    #[param(value_type = Option<String>)]
    unused: Option<Age>,
}

/// Selects the content of an export.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
struct ExportQuery {
    /// Include access keys with their secrets, and kept responses. Only for root on the unix socket. Default: false.
    secrets: bool,
}

/// The maximum size of a document as a JSON text, in bytes. Characters other than letters take two bytes there.
pub(super) const APPLY_BYTES: usize = 2 * sg_document::MAX_BYTES as usize + (1 << 20);

/// The export of a state that an import accepts, of at most `longest` bytes.
fn exportable(state: &State, secrets: bool, longest: u64) -> Result<Export, Failed> {
    let unexportable = |reason| Failed::Refused(Refusal::Unexportable { reason });
    check_stored(state).map_err(|refusal| unexportable(refusal.to_string()))?;
    let file = Export::of(state.records(), secrets);
    let bytes = file.bytes().map_err(|error| unexportable(error.to_string()))?;
    if bytes > longest {
        return Err(unexportable(format!("it has {bytes} bytes, {longest} are allowed")));
    }
    Ok(file)
}

/// An export that is being received.
#[derive(Default)]
struct ImportUpload {
    importer: Importer,
    digest: Sha256,
}

impl Upload for ImportUpload {
    type Operation = ReplaceState;

    fn push(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        self.digest.update(bytes);
        self.importer.push(bytes).map_err(|error| no_export(&error))
    }

    fn finish(self, context: &RequestContext) -> Result<ReplaceState, Failed> {
        let imported = self.importer.finish().map_err(|error| no_export(&error))?;
        if imported.secrets && !context.is_root() {
            return Err(Failed::Forbidden(
                "only root brings secrets in, over the socket: export without them, and the keys that are here stay",
            ));
        }
        Ok(ReplaceState::new(imported, STANDARD_NO_PAD.encode(self.digest.finalize()))?)
    }
}

fn no_export(error: &ImportError) -> Failed {
    Failed::Refused(Refusal::NoExport { reason: error.to_string() })
}

pub(super) fn declare(routes: &mut Routes) {
    let check = Route::post("/v1/check", "Check a packet and explain the verdict").needs(Viewer);
    routes.question::<CheckPacket, Checked>(check, |_, state, packet| {
        Ok(check_packet(state, packet, facts()?)?)
    });
    let common = Route::get("/v1/check/common", "Check the ports of common services").needs(Viewer);
    routes.ask::<Vec<CommonCheck>>(common.with::<CommonQuery>(), |_, state, context| {
        let CommonQuery { nic, remote } = context.query()?;
        Ok(check_common(state, &nic, remote, facts()?)?)
    });
    let look = Route::get(
        "/v1/lint",
        "Lint: rules that never decide, are not needed or unused, and rules that let many addresses in",
    )
    .needs(Viewer);
    routes.look::<Vec<Finding>>(look.with::<LintQuery>(), |native, context| {
        let LintQuery { group, nic, unused } = context.query()?;
        let scope = match (group, nic) {
            (Some(_), Some(_)) => {
                return Err(Failed::Malformed("say a group or a NIC, not both".to_owned()));
            }
            (Some(group), None) => Scope::Group(group),
            (None, Some(nic)) => Scope::Nic(nic),
            (None, None) => Scope::All,
        };
        let state = native.service.as_ref().map(Service::snapshot);
        let in_force = native.hits.in_force();
        let mut findings = match (state.as_deref(), in_force.policy.as_deref()) {
            (Some(state), _) => lint(state, &scope)?,
            (None, Some(policy)) => lint_policy(policy, &scope),
            (None, None) => Vec::new(),
        };
        findings.extend(unused::findings(native, state.as_deref(), &scope, unused, &findings)?);
        Ok(findings)
    });

    let apply = Route::post("/v1/apply", "Apply a document").needs(Editor);
    routes.change::<Apply>(apply.large(APPLY_BYTES), |apply, context| {
        // A change that is tried takes itself back.
        apply.force = context.is_forced() || context.is_tried();
        apply.allow_unfiltered |= context.is_tried();
    });

    let export = Route::get("/v1/export", "Export the whole state").needs(Viewer).with::<ExportQuery>();
    routes.download(export, |_, state, context| {
        let ExportQuery { secrets } = context.query()?;
        if secrets && !context.is_root() {
            return Err(Failed::Forbidden("only root is shown secrets, over the socket"));
        }
        exportable(state, secrets, transfer::LONGEST)
    });
    let import = Route::post("/v1/import", "Replace the whole state by an export").needs(Admin);
    routes.upload::<ImportUpload>(import.large(transfer::LONGEST as usize));

    routes.ask::<Vec<AccessKeyView>>(
        Route::get("/v1/access-keys", "List access keys").needs(Viewer),
        |_, state, _| Ok(state.access_keys().values().map(|key| AccessKeyView::from(&**key)).collect()),
    );
    routes.change::<CreateAccessKey>(
        Route::post("/v1/access-keys", "Create an access key; its secret is shown once").needs(Admin),
        |operation, context| {
            if operation.region.is_empty() {
                operation.region = context.first_region();
            }
        },
    );
    routes.order(Route::delete("/v1/access-keys/{key}", "Delete an access key").needs(Admin), |context| {
        DeleteAccessKey { key: context.path() }
    });
    routes.ask::<Quotas>(Route::get("/v1/quotas", "Show the quotas").needs(Viewer), |_, state, _| {
        Ok(state.settings().quotas.clone())
    });
    routes.change::<ModifyQuotas>(Route::patch("/v1/quotas", "Modify quotas").needs(Admin), |_, _| {});
}

#[cfg(test)]
mod tests {
    use super::*;
    use sg_store::{Record, import};

    /// A line of an export: a rule of a group that does not exist.
    const RULE: &str = r#"{"kind":"rule","record":{"id":"sgr-aaaaaaaaaaaaaaaaa","group":"sg-aaaaaaaaaaaaaaaaa","direction":"ingress",
        "serial":0,"created":"1970-01-01T00:00:00Z","updated":"1970-01-01T00:00:00Z","spec":{"action":"accept","priority":1,"protocol":"tcp","ports":"22",
        "remote":"any","nic_type":"intranet","description":""}}}"#;

    fn refusal(export: Result<Export, Failed>) -> String {
        match export {
            Err(Failed::Refused(refusal @ Refusal::Unexportable { .. })) => refusal.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_no_import_would_take_is_not_exported() {
        let rule: Record = serde_json::from_str(RULE).unwrap();
        let dangling = State::new([rule]);
        let message = refusal(exportable(&dangling, true, transfer::LONGEST));
        assert!(
            message.contains("there is no group") && message.contains("sg-aaaaaaaaaaaaaaaaa"),
            "{message}"
        );

        let state = State::default();
        let bytes = exportable(&state, true, transfer::LONGEST).unwrap().bytes().unwrap();
        let message = refusal(exportable(&state, true, bytes - 1));
        assert!(message.contains(&format!("it has {bytes} bytes, {} are allowed", bytes - 1)), "{message}");
        let fits = exportable(&state, true, bytes).unwrap();
        let file: Vec<u8> = fits.flat_map(|line| line.unwrap()).collect();
        assert_eq!(file.len() as u64, bytes);
        import(file.as_slice()).unwrap();
    }
}
