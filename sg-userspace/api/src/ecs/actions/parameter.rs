//! What an action declares of a parameter: how it is written, and whether it acts, changes nothing, or is refused. The
//! declarations are complete: what is neither declared nor one of [`EVERY`] is refused by name (`ecs/understood.rs`).

use crate::ecs::params::Kind;

/// A parameter of an action.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// `VpcId`; inside an array of objects, `Permissions.N.Policy`.
    pub name: &'static str,
    /// How it is written.
    pub kind: Kind,
    /// Without it, the request is refused; inside an array, the request with such an element.
    pub required: bool,
    /// What it does to the request.
    pub effect: Effect,
}

/// What a parameter does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// The action reads it.
    Acts {
        /// What it means, and which values it may have. Blank: its name says it.
        about: &'static str,
    },
    /// It changes nothing.
    Nothing {
        /// Why that is no loss.
        why: &'static str,
    },
    /// A request that has it is refused.
    Refused {
        /// What is missing here.
        why: &'static str,
        /// The value, in any case, that asks for nothing and is not refused; blank: none.
        unless: &'static str,
    },
}

impl Parameter {
    pub(super) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, required: false, effect: Effect::Acts { about } }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Whether this is the parameter of a place in a request in which numbers are written as `N`: `Tag.N.Key`.
    #[must_use]
    pub fn is(&self, place: &str) -> bool {
        match self.kind {
            Kind::List => place.strip_suffix(".N").unwrap_or(place) == self.name,
            Kind::Text | Kind::Integer | Kind::Boolean => place == self.name,
        }
    }
}

pub(super) const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Kind::Text, about)
}

pub(super) const fn integer(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Kind::Integer, about)
}

pub(super) const fn boolean(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Kind::Boolean, about)
}

pub(super) const fn texts(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Kind::List, about)
}

/// Accepted, though it changes nothing. Only where no response could differ for it.
pub(super) const fn without_effect(name: &'static str, why: &'static str) -> Parameter {
    Parameter { effect: Effect::Nothing { why }, ..text(name, "") }
}

pub(super) const fn refused(name: &'static str, why: &'static str) -> Parameter {
    refused_unless(name, "", why)
}

pub(super) const fn refused_unless(name: &'static str, unless: &'static str, why: &'static str) -> Parameter {
    Parameter { effect: Effect::Refused { why, unless }, ..text(name, "") }
}

/// The same, of an array of texts.
pub(super) const fn list_of(parameter: Parameter) -> Parameter {
    Parameter { kind: Kind::List, ..parameter }
}

const NO_ACCOUNTS: &str = "a host has no accounts: everything is of one owner";

/// Of every action, unless it declares another of the same name.
pub const EVERY: &[Parameter] = &[
    without_effect("OwnerId", NO_ACCOUNTS),
    without_effect("OwnerAccount", NO_ACCOUNTS),
    without_effect("ResourceOwnerId", NO_ACCOUNTS),
    without_effect("ResourceOwnerAccount", NO_ACCOUNTS),
    refused_unless("DryRun", "false", "this action has no dry run, and the request would take effect"),
];

/// The region of a call that must have one.
pub(super) const REGION: Parameter = text("RegionId", "").required();
/// Of every change.
pub(super) const CLIENT_TOKEN: Parameter =
    text("ClientToken", "a request repeated with the same token within 24 hours is executed once");
pub(super) const GROUP: Parameter = text("SecurityGroupId", "").required();
/// Of an action that can only be tried. What makes it so is the router, and `submit` of a change.
pub(super) const DRY_RUN: Parameter = boolean(
    "DryRun",
    "`true`: nothing is done or listed. A request that would succeed gets the error `DryRunOperation`",
);
pub(super) const RESOURCE_GROUP: Parameter = refused("ResourceGroupId", "there are no resource groups here");

/// Tags that a new resource gets, or that a listed resource has.
pub(super) const TAGS: &[Parameter] = &[text("Tag.N.Key", "").required(), text("Tag.N.Value", "")];
/// Tags that a listed resource has.
pub(super) const TAG_FILTER: &[Parameter] =
    &[text("Tag.N.Key", "").required(), text("Tag.N.Value", "blank: any value")];

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
