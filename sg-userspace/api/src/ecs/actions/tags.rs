//! Actions on the tags of groups, instances and NICs, and those on resource groups, of which there are none. It must never
//! check what a tag may say: the domain does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sg_records::{KeyRole, Label};
use sg_service::{ChangeTags, Removed, State};
use sg_store::Key;

use super::{
    action::{Action, ActionFuture},
    common::{region, submit, tags},
    filters::is_like,
    pagination::Window,
    parameter::{CLIENT_TOKEN, Parameter, REGION, boolean, integer, refused, text, texts},
    refusals::ErrorContext,
};
use crate::ecs::{Call, Ecs, Fault, Response, params::Fields};

/// How many resources one call names, and how many tags.
const MOST_RESOURCES: usize = 50;
const MOST_TAGS: usize = 20;
/// How many keys or values a fuzzy search has.
const MOST_FILTERS: usize = 5;

const TYPE: Parameter =
    text("ResourceType", "`instance`, `securitygroup` or `eni`: nothing else has tags here").required();
const RESOURCES: Parameter = texts("ResourceId", "1 to 50 ids").required();
const RESOURCE: Parameter = text("ResourceId", "").required();
const NEW_TAGS: &[Parameter] = &[text("Tag.N.Key", "1 to 20 tags").required(), text("Tag.N.Value", "")];

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "TagResources",
        about: "Adds tags to resources of one type, to all or to none. A tag with the same key is replaced.",
        role: KeyRole::Editor,
        handler: tag,
        parameters: &[&[REGION, CLIENT_TOKEN, TYPE, RESOURCES], NEW_TAGS],
    },
    Action {
        name: "UntagResources",
        about: "Removes tags from resources of one type, from all or from none.",
        role: KeyRole::Editor,
        handler: untag,
        parameters: &[&[
            REGION,
            CLIENT_TOKEN,
            TYPE,
            RESOURCES,
            texts("TagKey", "1 to 20 keys; either these or `All`"),
            boolean("All", "`true`: all tags, if there is no `TagKey.N`"),
        ]],
    },
    Action {
        name: "ListTagResources",
        about: "Lists resources of one type that have tags, with these tags. A page has up to 50 resources.",
        role: KeyRole::Viewer,
        handler: list,
        parameters: &[&[
            REGION,
            TYPE,
            texts("ResourceId", "up to 50 ids; without them, there must be tags"),
            text("Tag.N.Key", "1 to 20 tags, all of which a resource has").required(),
            text("Tag.N.Value", "blank: any value"),
            text("TagFilter.N.TagKey", "1 to 5 keys, not together with `Tag.N`; `*` stands for any text")
                .required(),
            texts("TagFilter.N.TagValues", "up to 5 values, one of which a tag has; `*` stands for any text"),
            integer("MaxResults", "1 to 50 resources; default 50"),
            text("NextToken", "of the previous page"),
        ]],
    },
    Action {
        name: "DescribeTags",
        about: "Lists tags, and how many resources have each.",
        role: KeyRole::Viewer,
        handler: describe,
        parameters: &[
            &[
                REGION,
                text("ResourceType", "one that nothing has here selects nothing"),
                text("ResourceId", ""),
                integer("PageNumber", "from 1; default 1"),
                integer("PageSize", "1 to 100; default 50"),
                refused("Category", "tags have no category here: all are of users"),
                refused("MaxResult", BY_NUMBER),
                refused("NextToken", BY_NUMBER),
            ],
            &[text("Tag.N.Key", "").required(), text("Tag.N.Value", "blank: any value")],
        ],
    },
    Action {
        name: "AddTags",
        about: "Adds tags to a resource: `TagResources` of earlier clients.",
        role: KeyRole::Editor,
        handler: add,
        parameters: &[&[REGION, CLIENT_TOKEN, TYPE, RESOURCE], NEW_TAGS],
    },
    Action {
        name: "RemoveTags",
        about: "Removes tags from a resource: `UntagResources` of earlier clients.",
        role: KeyRole::Editor,
        handler: remove,
        parameters: &[
            &[REGION, CLIENT_TOKEN, TYPE, RESOURCE],
            &[
                text("Tag.N.Key", "1 to 20 tags").required(),
                text("Tag.N.Value", "blank: whatever its value is"),
            ],
        ],
    },
    Action {
        name: "JoinResourceGroup",
        about: "Leaves a resource where it is, and refuses every resource group with the cloud's code for one that does not \
                exist: there are none.",
        role: KeyRole::Editor,
        handler: join_resource_group,
        parameters: &[&[
            text("RegionId", "that of the resource"),
            TYPE,
            RESOURCE,
            text("ResourceGroupId", "blank: none, as everything has"),
        ]],
    },
];

const BY_NUMBER: &str = "the pages of tags are numbered";

/// A type of resources that have tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Type {
    Instance,
    Group,
    Nic,
}

impl Type {
    const ALL: [Self; 3] = [Self::Instance, Self::Group, Self::Nic];

    const fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Group => "securitygroup",
            Self::Nic => "eni",
        }
    }

    /// Its name in a count of resources.
    const fn counted(self) -> &'static str {
        match self {
            Self::Instance => "Instance",
            Self::Group => "Securitygroup",
            Self::Nic => "Eni",
        }
    }

    fn read(fields: &Fields<'_>) -> Result<Self, Fault> {
        let text = fields.required(TYPE.name)?;
        let unknown = || {
            let message = format!(
                "The ResourceType provided does not exist in our records: {} is expected.",
                Self::ALL.map(Self::name).join(", ")
            );
            Fault::not_found("InvalidResourceType.NotFound", message)
        };
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text)).ok_or_else(unknown)
    }

    fn key(self, id: &str) -> Key {
        match self {
            Self::Instance => Key::Instance(id.into()),
            Self::Group => Key::Group(id.into()),
            Self::Nic => Key::Nic(id.into()),
        }
    }

    /// The resources of a region, sorted by id: ids and labels.
    fn of<'s>(
        self,
        state: &'s State,
        region: &'s str,
    ) -> Box<dyn Iterator<Item = (&'s str, &'s Label)> + 's> {
        macro_rules! those {
            ($all:expr) => {
                Box::new(
                    $all.values()
                        .filter(move |one| one.region == region)
                        .map(|one| (one.id.as_str(), &one.label)),
                )
            };
        }
        match self {
            Self::Instance => those!(state.instances()),
            Self::Group => those!(state.groups()),
            Self::Nic => those!(state.nics()),
        }
    }

    /// The region of a resource, if it exists.
    fn region_of(self, state: &State, id: &str) -> Option<String> {
        match self {
            Self::Instance => state.instance(&id.into()).map(|found| found.region.clone()),
            Self::Group => state.group(&id.into()).map(|found| found.region.clone()),
            Self::Nic => state.nic(&id.into()).map(|found| found.region.clone()),
        }
    }
}

fn exceeded(what: &str, most: usize) -> Fault {
    let message = format!("The {what} parameter's number is exceed , Valid : {most}");
    Fault::bad(format!("NumberExceed.{what}"), message)
}

/// The keys of resources, which exist in the region of the call.
fn resources<'t>(
    ecs: &Ecs,
    call: &Call,
    kind: Type,
    ids: impl IntoIterator<Item = &'t str>,
) -> Result<Vec<Key>, Fault> {
    let (region, state) = (region(call)?, ecs.service.snapshot());
    let mut seen = BTreeSet::new();
    let known = |id: &str| {
        if kind.region_of(&state, id).is_some_and(|found| found == region) {
            return Ok(kind.key(id));
        }
        let message = "The specified ResourceIds are not found in our records.";
        Err(Fault::not_found("InvalidResourceId.NotFound", message))
    };
    ids.into_iter().filter(|id| seen.insert(id.to_string())).map(known).collect()
}

/// `ResourceId.N`.
fn listed(ecs: &Ecs, call: &Call, kind: Type) -> Result<Vec<Key>, Fault> {
    let fields = call.fields();
    let ids = fields.list(RESOURCES.name)?;
    match ids.len() {
        0 => Err(Fault::missing("ResourceId.N")),
        1..=MOST_RESOURCES => resources(ecs, call, kind, ids.iter().map(AsRef::as_ref)),
        _ => Err(exceeded("ResourceIds", MOST_RESOURCES)),
    }
}

/// `Tag.N`, at least one.
fn some_tags(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, Fault> {
    let tags = tags(fields)?;
    match tags.len() {
        0 => Err(Fault::missing("Tag.N.Key")),
        1..=MOST_TAGS => Ok(tags),
        _ => Err(exceeded("Tags", MOST_TAGS)),
    }
}

async fn change(ecs: &Ecs, call: &Call, operation: ChangeTags) -> Result<Response, Fault> {
    submit(ecs, call, ErrorContext::Tags, operation).await?;
    Ok(Response::done())
}

fn tag<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let objects = listed(ecs, call, Type::read(&fields)?)?;
        change(ecs, call, ChangeTags { objects, set: some_tags(&fields)?, ..ChangeTags::default() }).await
    })
}

fn add<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let objects = resources(ecs, call, Type::read(&fields)?, [fields.required(RESOURCE.name)?])?;
        change(ecs, call, ChangeTags { objects, set: some_tags(&fields)?, ..ChangeTags::default() }).await
    })
}

fn untag<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let objects = listed(ecs, call, Type::read(&fields)?)?;
        let (keys, all) = (fields.list("TagKey")?, fields.boolean("All")?.unwrap_or(false));
        let remove = match keys.len() {
            0 if all => Removed::All,
            0 => return Err(Fault::missing("TagKey.N")),
            1..=MOST_TAGS => Removed::These(keys.into_iter().map(|key| (key.into_owned(), None)).collect()),
            _ => return Err(exceeded("Tags", MOST_TAGS)),
        };
        change(ecs, call, ChangeTags { objects, remove, ..ChangeTags::default() }).await
    })
}

fn remove<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let objects = resources(ecs, call, Type::read(&fields)?, [fields.required(RESOURCE.name)?])?;
        let these = some_tags(&fields)?;
        let these = these.into_iter().map(|(key, value)| (key, (!value.is_empty()).then_some(value)));
        change(
            ecs,
            call,
            ChangeTags { objects, remove: Removed::These(these.collect()), ..ChangeTags::default() },
        )
        .await
    })
}

/// Which resources are listed, by their tags.
struct Wanted {
    tags: BTreeMap<String, String>,
    /// Keys and values with asterisks.
    like: Vec<(String, Vec<String>)>,
}

impl Wanted {
    fn read(fields: &Fields<'_>) -> Result<Self, Fault> {
        let tags = tags(fields)?;
        let like = fields.objects("TagFilter")?;
        let like: Result<Vec<(String, Vec<String>)>, Fault> = like
            .iter()
            .map(|filter| {
                let values = filter.list("TagValues")?;
                if values.len() > MOST_FILTERS {
                    return Err(Fault::malformed(
                        &filter.place("TagValues"),
                        "5 values at most are expected",
                    ));
                }
                let values = values.into_iter().map(std::borrow::Cow::into_owned).collect();
                Ok((filter.required("TagKey")?.to_owned(), values))
            })
            .collect();
        let like = like?;
        if tags.len() > MOST_TAGS || like.len() > MOST_FILTERS {
            return Err(exceeded("Tags", if like.len() > MOST_FILTERS { MOST_FILTERS } else { MOST_TAGS }));
        }
        if !tags.is_empty() && !like.is_empty() {
            return Err(Fault::malformed("TagFilter", "either Tag.N or TagFilter.N is expected"));
        }
        Ok(Self { tags, like })
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.like.is_empty()
    }

    /// Whether a resource has them all.
    fn admits(&self, label: &Label) -> bool {
        let has = |(key, value): (&String, &String)| {
            label.tags.get(key).is_some_and(|found| value.is_empty() || found == value)
        };
        let has_like = |(key, values): &(String, Vec<String>)| {
            let value_fits =
                |value: &str| values.is_empty() || values.iter().any(|wanted| is_like(wanted, value));
            label.tags.iter().any(|(found, value)| is_like(key, found) && value_fits(value))
        };
        self.tags.iter().all(has) && self.like.iter().all(has_like)
    }

    /// Whether a tag of such a resource is one of them; also if none is wanted.
    fn has(&self, key: &str) -> bool {
        self.is_empty()
            || self.tags.contains_key(key)
            || self.like.iter().any(|(wanted, _)| is_like(wanted, key))
    }
}

fn list<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, kind) = (region(call)?, Type::read(&fields)?);
        let (ids, wanted) = (fields.list("ResourceId")?, Wanted::read(&fields)?);
        if ids.len() > MOST_RESOURCES {
            return Err(exceeded("ResourceIds", MOST_RESOURCES));
        }
        if ids.is_empty() && wanted.is_empty() {
            return Err(Fault::missing("ResourceId.N"));
        }
        let window = Window::following(call, MOST_RESOURCES)?;
        let state = ecs.service.snapshot();
        let admits = |(id, label): &(&str, &Label)| {
            !label.tags.is_empty()
                && (ids.is_empty() || ids.iter().any(|wanted| wanted == id))
                && wanted.admits(label)
        };
        let found: Vec<_> = kind.of(&state, region).filter(admits).collect();
        let (page, mut response) = window.of(&found, |(id, _)| (*id).to_owned());
        let tags = page.iter().flat_map(|(id, label)| label.tags.iter().map(move |tag| (id, tag)));
        let tags = tags.filter(|(_, (key, _))| wanted.has(key)).map(|(id, (key, value))| {
            json!({ "ResourceId": id, "ResourceType": kind.name(), "TagKey": key, "TagValue": value })
        });
        let tags: Vec<Value> = tags.collect();
        response.remove("TotalCount");
        response.insert("TagResources".to_owned(), json!({ "TagResource": tags }));
        Response::of(&response)
    })
}

fn describe<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (region, id) = (region(call)?, fields.text("ResourceId"));
        let (kind, wanted) = (fields.text("ResourceType"), tags(&fields)?);
        let window = Window::numbered(call, 100, 50)?;
        let state = ecs.service.snapshot();
        // Each tag, and how many resources of which type have it.
        let mut found: BTreeMap<(&str, &str), BTreeMap<&str, u64>> = BTreeMap::new();
        for one in
            Type::ALL.into_iter().filter(|one| kind.is_none_or(|kind| one.name().eq_ignore_ascii_case(kind)))
        {
            let resources = one.of(&state, region);
            let resources = resources.filter(|(found, _)| id.is_none_or(|id| *found == id));
            for (key, value) in resources.flat_map(|(_, label)| &label.tags) {
                let admitted = wanted.get(key).is_some_and(|wanted| wanted.is_empty() || wanted == value);
                if wanted.is_empty() || admitted {
                    *found.entry((key, value)).or_default().entry(one.counted()).or_default() += 1;
                }
            }
        }
        let found: Vec<_> = found.into_iter().collect();
        let (page, mut response) = window.of(&found, |((key, _), _)| (*key).to_owned());
        let shown = |((key, value), counts): &((&str, &str), BTreeMap<&str, u64>)| {
            let count = |kind: Type| {
                (kind.counted().to_owned(), counts.get(kind.counted()).copied().unwrap_or(0).into())
            };
            let counts: serde_json::Map<String, Value> = Type::ALL.map(count).into_iter().collect();
            json!({ "TagKey": key, "TagValue": value, "ResourceTypeCount": counts })
        };
        let tags: Vec<Value> = page.iter().map(shown).collect();
        response.insert("Tags".to_owned(), json!({ "Tag": tags }));
        Response::of(&response)
    })
}

fn join_resource_group<'a>(ecs: &'a Ecs, call: &'a Call) -> ActionFuture<'a> {
    Box::pin(async move {
        let fields = call.fields();
        let (kind, id) = (Type::read(&fields)?, fields.required(RESOURCE.name)?);
        let wanted = fields.text("RegionId");
        let found = kind.region_of(&ecs.service.snapshot(), id);
        if found.is_none_or(|region| wanted.is_some_and(|wanted| wanted != region)) {
            let message = "The specified ResourceIds are not found in our records.";
            return Err(Fault::not_found("InvalidResourceId.NotFound", message));
        }
        if fields.text("ResourceGroupId").is_some() {
            let message = "The ResourceGroup provided does not exist in our records: this server has none.";
            return Err(Fault::not_found("InvalidResourceGroup.NotFound", message));
        }
        Ok(Response::done())
    })
}
