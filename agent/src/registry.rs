//! The available tools, and what a model meant by a call.

use std::sync::Arc;

use serde_json::Value;

use crate::tool::{Tool, ToolContext, ToolError};

/// How similar two names must be, 0 to 1, for one to be suggested for the other.
const ALIKE: f64 = 0.7;

/// The tools of an installation.
#[derive(Clone, Default)]
pub struct Registry(Vec<Arc<dyn Tool>>);

impl Registry {
    /// A registry of these tools; if two have the same name, the first counts.
    pub fn new(tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        let mut kept: Vec<Arc<dyn Tool>> = Vec::new();
        for tool in tools {
            if kept.iter().all(|one| one.spec().name != tool.spec().name) {
                kept.push(tool);
            }
        }
        Self(kept)
    }

    /// The same registry, with `others` added.
    pub(crate) fn with(&self, others: Vec<Arc<dyn Tool>>) -> Self {
        Self::new(self.0.iter().cloned().chain(others))
    }

    /// The tools that the caller may use, in the gateway's format.
    pub(crate) fn offered(&self, context: &ToolContext) -> Vec<cairn_gateway::Tool> {
        self.open_to(context)
            .map(|tool| {
                let spec = tool.spec();
                cairn_gateway::Tool {
                    name: spec.name.clone(),
                    description: spec.description.clone(),
                    parameters: spec.parameters.clone(),
                }
            })
            .collect()
    }

    fn open_to<'a>(&'a self, context: &'a ToolContext) -> impl Iterator<Item = &'a Arc<dyn Tool>> {
        self.0.iter().filter(|tool| tool.is_open_to(context))
    }

    /// The tool that a model calls `name`, and its arguments.
    ///
    /// # Errors
    /// In words that let the model correct its call.
    pub(crate) fn find(
        &self,
        name: &str,
        arguments: &str,
        context: &ToolContext,
    ) -> Result<(Arc<dyn Tool>, Value), ToolError> {
        let tool = self.open_to(context).find(|tool| tool.spec().name == name);
        let Some(tool) = tool else {
            let known: Vec<&str> = self
                .open_to(context)
                .map(|tool| tool.spec().name.as_str())
                .collect();
            return Err(ToolError::not_found(unknown("tool", name, &known)));
        };
        let value: Value = serde_json::from_str(arguments).map_err(|error| {
            ToolError::arguments(format!(
                "the arguments of {name} are not JSON ({error}); send one object like {}",
                example(&tool.spec().parameters)
            ))
        })?;
        if !value.is_object() {
            return Err(ToolError::arguments(format!(
                "the arguments of {name} must be one JSON object like {}",
                example(&tool.spec().parameters)
            )));
        }
        Ok((Arc::clone(tool), value))
    }
}

/// The message for a `what` that is not among `known`: the most similar, or all of them.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let name: String = name.chars().take(80).collect();
    let alike = |one: &&str| strsim::jaro_winkler(&one.to_lowercase(), &name.to_lowercase());
    let nearest = known.iter().max_by(|a, b| alike(a).total_cmp(&alike(b)));
    match nearest {
        Some(nearest) if alike(nearest) >= ALIKE => {
            format!("there is no {what} `{name}`; did you mean `{nearest}`?")
        }
        Some(_) => format!(
            "there is no {what} `{name}`; there are: {}",
            known[..known.len().min(20)].join(", ")
        ),
        None => format!("there is no {what} `{name}`"),
    }
}

/// An object with the properties of a schema.
fn example(schema: &Value) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let fields = properties.into_iter().flatten().map(|(name, _)| {
        let value = Value::String("...".to_owned());
        (name.clone(), value)
    });
    Value::Object(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_proposed() {
        let known = ["search", "read_document", "calculate"];
        let said = |name| unknown("tool", name, &known);
        assert!(said("serach").contains("did you mean `search`"));
        assert!(said("readDocument").contains("did you mean `read_document`"));
        assert!(said("xyzzy").contains("there are: search, read_document, calculate"));
        assert_eq!(unknown("tool", "a", &[]), "there is no tool `a`");
    }
}
