//! The manifests for KEDA: valid by its schemas, and with the numbers of the scaler's settings.

mod schema;

use std::process::{Command, Stdio};

use jetreel_domain::delivery::stage::Stage;
use serde_json::{Value, json};

use super::assert_none;
use super::known::Known;
use super::rules;
use crate::clips::root;
use crate::harness::tools::skipped;

const FOLDER: &str = "docker/k8s/keda";

/// Keys in `metadata` of a trigger, which KEDA's schemas leave open: what it must have, and what it may have.
const TRIGGERS: [(&str, &[&str], &[&str]); 2] = [
    (
        "prometheus",
        &["serverAddress", "query", "threshold"],
        &["activationThreshold", "ignoreNullValues"],
    ),
    (
        "nats-jetstream",
        &["natsServerMonitoringEndpoint", "account", "stream", "consumer", "lagThreshold"],
        &["activationLagThreshold", "useHttps"],
    ),
];

/// Names and contents of the manifests.
fn manifests() -> Vec<(String, Value)> {
    let folder = std::fs::read_dir(root().join(FOLDER)).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let read = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, serde_norway::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap())
    };
    let found: Vec<_> = paths.map(read).collect();
    assert_eq!(found.len(), 3, "the manifests");
    found
}

fn manifest(name: &str) -> Value {
    manifests().into_iter().find(|(own, _)| own == name).unwrap().1
}

fn triggers(manifest: &Value) -> &Vec<Value> {
    manifest["spec"]["triggers"].as_array().unwrap()
}

/// A complaint for each thing that the API server would refuse or drop.
fn invalid(manifest: &Value) -> Vec<String> {
    let kind = manifest["kind"].as_str().unwrap_or_default().to_lowercase();
    let path = root().join(format!("tests/fixtures/keda/{kind}.json"));
    let Ok(text) = std::fs::read_to_string(path) else { return vec![format!("no kind {kind}")] };
    let mut found = schema::complaints(&serde_json::from_str(&text).unwrap(), manifest);
    if manifest["apiVersion"] != "keda.sh/v1alpha1" {
        found.push("another version".to_owned());
    }
    for trigger in manifest["spec"]["triggers"].as_array().into_iter().flatten() {
        let of_type = TRIGGERS.iter().find(|(name, ..)| trigger["type"] == *name);
        let Some((name, must, may)) = of_type else {
            found.push(format!("no trigger {}", trigger["type"]));
            continue;
        };
        let given = trigger["metadata"].as_object();
        let has = |key: &str| given.is_some_and(|given| given.contains_key(key));
        let missing = must.iter().filter(|key| !has(key));
        found.extend(missing.map(|key| format!("{name}: no {key}")));
        let keys = given.into_iter().flat_map(serde_json::Map::keys);
        let unknown = keys.filter(|key| !must.iter().chain(*may).any(|known| known == key));
        found.extend(unknown.map(|key| format!("{name}: no key {key}")));
    }
    found
}

#[test]
fn manifests_are_what_keda_takes() {
    for (name, manifest) in manifests() {
        let complaints = invalid(&manifest).into_iter().map(|why| format!("{name}: {why}"));
        assert_none(&complaints.collect::<Vec<_>>());
    }
    let bad: [(&str, &str, Value); 6] = [
        ("/spec", "maxReplicas", json!(3)),
        ("/spec", "maxReplicaCount", json!("10")),
        ("/spec", "triggers", json!([])),
        ("/spec/fallback", "behavior", json!("guess")),
        ("/spec/scaleTargetRef", "name", Value::Null),
        ("/spec/triggers/0/metadata", "lag", json!("1")),
    ];
    for (place, key, value) in bad {
        let mut manifest = manifest("scaledobject.yaml");
        manifest.pointer_mut(place).unwrap()[key] = value;
        assert_eq!(invalid(&manifest).len(), 1, "{place} {key}");
    }
}

#[test]
fn keda_asks_for_a_metric_that_there_is() {
    let known = Known::new();
    for name in ["scaledobject.yaml", "scaledjob.yaml"] {
        let manifest = manifest(name);
        let metadata = &triggers(&manifest)[0]["metadata"];
        let query = metadata["query"].as_str().unwrap();
        assert_eq!(query, "max(jetreel_wanted_nodes)", "{name}");
        assert_none(&known.complaints(query));
        assert_eq!(metadata["threshold"], "1", "{name}: a node each");
    }
}

#[test]
fn the_trigger_for_nats_names_every_consumer_of_tasks() {
    let manifest = manifest("scaledobject-nats.yaml");
    let named = triggers(&manifest).iter().map(|trigger| {
        let text = |key: &str| trigger["metadata"][key].as_str().unwrap().to_owned();
        (text("stream"), text("consumer"))
    });
    let mut named: Vec<_> = named.collect();
    let queues = Stage::Encode.queues().into_iter();
    let mut there: Vec<_> = queues.map(|queue| (queue.stream.to_owned(), queue.consumer)).collect();
    named.sort();
    there.sort();
    assert_eq!(named, there);
}

#[test]
fn numbers_are_those_of_the_settings() {
    let text = std::fs::read_to_string(root().join("src/settings/default.toml")).unwrap();
    let settings: toml::Table = text.parse().unwrap();
    let job = manifest("scaledjob.yaml");
    let pod = &job["spec"]["jobTargetRef"]["template"]["spec"];
    let drain = settings["node"]["drain-seconds"].as_integer().unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() > drain);
    let Some(scaler) = settings.get("scaler") else {
        return skipped("there are no settings of the scaler yet");
    };
    for (name, manifest) in manifests() {
        let count = |key: &str| manifest["spec"][key].as_i64();
        // KEDA adds the minimum of a ScaledJob to the wanted number, which holds the scaler's.
        let least =
            if name == "scaledjob.yaml" { 0 } else { scaler["nodes-min"].as_integer().unwrap() };
        assert_eq!(count("minReplicaCount"), Some(least), "{name}");
        assert_eq!(count("maxReplicaCount"), scaler["nodes-max"].as_integer(), "{name}");
    }
    let stable = manifest("scaledobject-nats.yaml");
    let stable = stable.pointer(
        "/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds",
    );
    assert_eq!(stable.and_then(Value::as_f64), number(&scaler["stable-seconds"]));
    let target = number(&scaler["target-drain-seconds"]).unwrap();
    for alert in rules::alerts() {
        if alert.expr.contains("jetreel:drain_seconds") {
            let condition = format!("jetreel:drain_seconds > {target}");
            assert!(alert.expr.contains(&condition), "{}: {}", alert.name, alert.expr);
        }
    }
}

/// A number with or without a fraction.
fn number(value: &toml::Value) -> Option<f64> {
    value
        .as_float()
        .or_else(|| value.as_str()?.parse().ok())
        .or_else(|| value.as_integer().and_then(|whole| i32::try_from(whole).ok()).map(f64::from))
}

#[test]
fn a_job_drains_by_its_age() {
    let job = manifest("scaledjob.yaml");
    let container = &job["spec"]["jobTargetRef"]["template"]["spec"]["containers"][0];
    let variables = container["env"].as_array().unwrap().iter();
    let mut drain = variables.filter(|v| v["name"] == "JETREEL__NODE__DRAIN_COMMAND");
    let command = drain.next().unwrap()["value"].as_str().unwrap();
    assert!(command.contains("> 1800)"), "{command}");
    for (age, is_over) in [("0", true), ("999999999", false)] {
        let command = command.replace("> 1800)", &format!("> {age})"));
        let mut shell = Command::new("/bin/sh");
        let done = shell.args(["-c", &command]).stdin(Stdio::null()).output().unwrap();
        assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(done.status.success(), is_over, "{command}");
    }
}
