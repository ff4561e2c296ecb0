//! The settings of a node: typed and checked. Every wrong value is reported with its key.
//!
//! Invariant: a default is in `settings/default.toml` and nowhere else.

mod check;
mod eligibility;
mod layers;
mod listen;
mod retry;
mod roles;
mod scaler;
mod sections;

use std::ffi::OsString;

use jetreel_domain::codec::limits::Limits;
use jetreel_domain::output::price::Prices;
use jetreel_domain::plan::policy::PlanPolicy;
use jetreel_domain::upkeep::reconcile::Policy;
use serde::Deserialize;

pub use eligibility::{GroupSettings, Groups, HoursSettings, LaneSettings, Lanes};
pub use layers::{Setting, SettingsError, Sources};
pub use listen::listen_address;
pub use retry::{Delays, Retry};
pub use roles::{Role, Roles};
pub use scaler::{LocalNodes, Scaler, Target};
pub use sections::{
    Codec, GroupSlots, Hook, Http, Log, LogFormat, Names, Nats, Node, Scheme, Store, Telemetry,
    host_name,
};

/// All settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    pub nats: Nats,
    pub store: Store,
    pub http: Http,
    pub node: Node,
    /// Needs and hours by group.
    pub groups: Groups,
    /// Hours by lane.
    pub lanes: Lanes,
    /// What all hours have in common.
    pub hours: HoursSettings,
    pub codec: Codec,
    /// Limits of a source.
    pub limits: Limits,
    /// How a source becomes tiers and tasks.
    pub plan: PlanPolicy,
    pub retry: Retry,
    pub hook: Hook,
    /// Delays of the reconciler.
    pub reconciler: Policy,
    /// Prices.
    pub cost: Prices,
    pub scaler: Scaler,
    pub log: Log,
    /// Arguments of this program that name the same file and overrides, for processes that it starts.
    #[serde(skip)]
    pub arguments: Vec<OsString>,
    pub telemetry: Telemetry,
}

impl Settings {
    /// Reads the layers and checks the result.
    ///
    /// # Errors
    /// A layer cannot be read, has an unknown key, or a value is wrong. The message names the key.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let mut settings: Self = layers::read(sources)?;
        // TOML has no absent list in a file of defaults, so an empty one stands for it.
        settings.plan.tiers = settings.plan.tiers.filter(|tiers| !tiers.is_empty());
        settings.arguments = sources.arguments();
        settings.validate()?;
        Ok(settings)
    }

    /// Policy by which sources are planned.
    #[must_use]
    pub fn plan_policy(&self) -> PlanPolicy {
        self.plan.clone()
    }

    /// Every setting with the layer of its value, by key. Secrets are masked.
    ///
    /// # Errors
    /// A layer cannot be read or has an unknown key.
    pub fn explain(sources: &Sources) -> Result<Vec<Setting>, SettingsError> {
        layers::explain(sources)
    }
}
