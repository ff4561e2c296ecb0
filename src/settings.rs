//! What a node is told: typed, checked, and every wrong value named by its key.
//!
//! Invariant: a default stands in `settings/default.toml` and nowhere else.

mod check;
mod layers;
mod listen;
mod retry;
mod roles;
mod sections;

use jetreel_domain::codec::limits::Limits;
use jetreel_domain::plan::policy::PlanPolicy;
use jetreel_domain::upkeep::reconcile::Policy;
use serde::Deserialize;

pub use layers::{Setting, SettingsError, Sources};
pub use listen::listen_address;
pub use retry::{Delays, Retry};
pub use roles::{Role, Roles};
pub use sections::{
    Codec, Hook, Http, Log, LogFormat, Names, Nats, Node, Scheme, Store, host_name,
};

/// All settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Coordination.
    pub nats: Nats,
    /// Objects.
    pub store: Store,
    /// The gateway.
    pub http: Http,
    /// This node.
    pub node: Node,
    /// Codec processes.
    pub codec: Codec,
    /// What a source may be.
    pub limits: Limits,
    /// How a source becomes tiers and tasks.
    pub plan: PlanPolicy,
    /// When what failed is tried again.
    pub retry: Retry,
    /// Who is called about dead letters.
    pub hook: Hook,
    /// How patient repairs are.
    pub reconciler: Policy,
    /// Log lines.
    pub log: Log,
}

impl Settings {
    /// Reads the layers and checks the result.
    ///
    /// # Errors
    /// When a layer cannot be read, has an unknown key, or a value is wrong; the message names the key.
    pub fn load(sources: &Sources) -> Result<Self, SettingsError> {
        let mut settings: Self = layers::read(sources)?;
        // A list cannot be absent in a file of defaults; an empty one stands for that.
        settings.plan.tiers = settings.plan.tiers.filter(|tiers| !tiers.is_empty());
        settings.validate()?;
        Ok(settings)
    }

    /// How sources are planned.
    #[must_use]
    pub fn plan_policy(&self) -> PlanPolicy {
        self.plan.clone()
    }

    /// Every setting with the place its value came from, by key; secrets are masked.
    ///
    /// # Errors
    /// When a layer cannot be read or has an unknown key.
    pub fn explain(sources: &Sources) -> Result<Vec<Setting>, SettingsError> {
        layers::explain(sources)
    }
}
