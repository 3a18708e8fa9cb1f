//! Routes of rules, and of rules as files. They must never decide what is allowed. `mod.rs` calls `declare` once.

use serde::Deserialize;
use sg_api_types::ListedRule;
use sg_records::Rule;
use sg_service::{
    Authorize, ImportRules, ModifyRule, Page, Refusal, Revoke, RuleFile, RuleQuery, export_rules, find_rules,
};
use utoipa::IntoParams;

use sg_records::KeyRole::{Editor, Viewer};

use super::{error::Failed, route::Route, routes::Routes, unused};

/// Format of a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
struct Form {
    /// The file is CSV instead of JSON. Default: false.
    csv: bool,
}

pub(super) fn declare(routes: &mut Routes) {
    let list = Route::get("/v1/groups/{group}/rules", "List rules").needs(Viewer).with::<RuleQuery>().paged();
    routes.ask::<Page<ListedRule>>(list, |native, state, context| {
        let query: RuleQuery = context.query()?;
        let used = unused::of_group(native, &state.find_group(&context.path())?.id, query.unused)?;
        let admits = |rule: &Rule| query.unused.is_none_or(|age| used.is_unused(rule, age));
        let page = find_rules(state, &context.path(), &query, admits, &context.query()?)?;
        let Page { items, total, next } = page;
        Ok(Page { items: items.into_iter().map(|rule| used.listed(rule)).collect(), total, next })
    });
    let add = Route::post("/v1/groups/{group}/rules", "Add rules").needs(Editor);
    routes.change::<Authorize>(add, |operation, context| operation.group = context.path());
    let revoke = Route::post("/v1/groups/{group}/rules/revoke", "Revoke rules of a group").needs(Editor);
    routes.change::<Revoke>(revoke, |operation, context| operation.group = context.path());
    let export = Route::get("/v1/groups/{group}/rules/export", "Export the rules of a group")
        .needs(Viewer)
        .with::<Form>();
    routes.ask::<String>(export, |_, state, context| {
        let file = export_rules(state, &context.path())?;
        Ok(if context.query::<Form>()?.csv { file.to_csv() } else { file.to_json() })
    });
    let import = Route::post("/v1/groups/{group}/rules/import", "Import rules into a group")
        .needs(Editor)
        .with::<Form>();
    routes.file::<ImportRules>(import, |context, text| {
        let csv = context.query::<Form>()?.csv;
        let file = if csv { RuleFile::from_csv(text) } else { RuleFile::from_json(text) };
        Ok(ImportRules { group: context.path(), file: file.map_err(Failed::Refused)? })
    });
    routes.ask::<Rule>(Route::get("/v1/rules/{rule}", "Show a rule").needs(Viewer), |_, state, context| {
        Ok(Rule::clone(state.find_rule(&context.path(), None)?))
    });
    routes.change::<ModifyRule>(
        Route::patch("/v1/rules/{rule}", "Modify a rule").needs(Editor),
        |operation, context| {
            operation.rule = context.path();
        },
    );
    routes.order(Route::delete("/v1/rules/{rule}", "Delete a rule").needs(Editor), |context| RevokeOne {
        rule: context.path(),
    });
}

/// Revokes a rule that is given by its id alone.
#[derive(Clone, Debug, serde::Serialize)]
struct RevokeOne {
    rule: String,
}

impl sg_service::Operation for RevokeOne {
    type Output = Vec<sg_records::RuleId>;

    fn run(&self, tx: &mut sg_service::Tx) -> Result<Self::Output, Refusal> {
        let group = tx.find_rule(&self.rule, None)?.group.to_string();
        Revoke { group, direction: None, rules: vec![self.rule.clone()] }.run(tx)
    }
}
