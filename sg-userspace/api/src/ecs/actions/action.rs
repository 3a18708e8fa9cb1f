//! What an action declares: its name, what it does, and every parameter that it reads. `docs/use/ecs-api.md` is written from
//! these declarations, and a test compares them with what the actions read (`ecs/tests/declared.rs`).

use std::pin::Pin;

use sg_records::KeyRole;

use crate::ecs::{Call, Ecs, Fault, Response, params::Kind};

/// The future response of an action.
pub(in crate::ecs) type ActionFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, Fault>> + Send + 'a>>;
pub(in crate::ecs) type Handler = for<'a> fn(&'a Ecs, &'a Call) -> ActionFuture<'a>;

/// An action of the API.
pub struct Action {
    /// `CreateSecurityGroup`.
    pub name: &'static str,
    /// What it does, as a sentence.
    pub about: &'static str,
    /// The role that a key needs for it: the least of those that may.
    pub role: KeyRole,
    pub(in crate::ecs) handler: Handler,
    /// What it reads, in parts that several actions have in common.
    pub parameters: &'static [&'static [Parameter]],
}

/// A parameter of an action.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// `VpcId`; inside an array of objects, `Permissions.N.Policy`.
    pub name: &'static str,
    /// How it is written.
    pub kind: Kind,
    /// Without it, the request is refused; inside an array, the request with such an element.
    pub required: bool,
    /// What it means, and which values it may have. Blank: its name says it.
    pub about: &'static str,
}

impl Parameter {
    pub(super) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: false, about }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

pub(super) const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Kind::Text, about)
}

pub(super) const fn integer(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Kind::Integer, about)
}

pub(super) const fn texts(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Kind::List, about)
}

/// The region of a call that must have one.
pub(super) const REGION: Parameter = text("RegionId", "").required();
/// Of every change.
pub(super) const CLIENT_TOKEN: Parameter =
    text("ClientToken", "a request repeated with the same token within 24 hours is executed once");
pub(super) const GROUP: Parameter = text("SecurityGroupId", "").required();

/// Tags that a new resource gets, or that a listed resource has.
pub(super) const TAGS: &[Parameter] = &[text("Tag.N.Key", "").required(), text("Tag.N.Value", "")];

/// The parameters of a list that is shown page by page, the pages having up to `$most` items.
macro_rules! pages {
    ($most:literal) => {
        &[
            integer("PageNumber", "from 1; default 1"),
            integer("PageSize", concat!("1 to ", $most, "; default 10")),
            integer(
                "MaxResults",
                concat!("1 to ", $most, "; pages by token instead of by number; default 10"),
            ),
            text("NextToken", "of the previous page"),
        ]
    };
}
pub(super) use pages;
