//! Which paths there are, read from the OpenAPI document.

use serde_json::Value;

/// Names of HTTP methods in OpenAPI documents.
const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

/// The paths of a service and their methods.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    service: &'static str,
    known: Vec<Known>,
}

#[derive(Debug, Clone)]
struct Known {
    template: String,
    methods: Vec<String>,
}

impl Paths {
    /// The paths of OpenAPI documents.
    pub fn of(documents: &[&Value]) -> Self {
        let mut known: Vec<Known> = Vec::new();
        let paths = documents.iter().filter_map(|document| document["paths"].as_object()).flatten();
        for (template, item) in paths {
            let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
            let methods = methods.map(|method| method.to_uppercase()).collect();
            known.push(Known { template: template.clone(), methods });
        }
        Self { service: "", known }
    }

    /// Names the service in metrics.
    #[must_use]
    pub fn of_service(mut self, name: &'static str) -> Self {
        self.service = name;
        self
    }

    /// The service's name.
    pub(super) fn service(&self) -> &'static str {
        self.service
    }

    /// Adds a path that no document names, with the method GET.
    #[must_use]
    pub fn and(mut self, template: &str) -> Self {
        self.known.push(Known { template: template.to_owned(), methods: vec!["GET".to_owned()] });
        self
    }

    /// The methods of a path, as the header `Allow` lists them.
    pub(super) fn allow(&self, path: &str) -> String {
        let known = self.known.iter().filter(|known| fits(&known.template, path));
        let mut methods: Vec<&str> =
            known.flat_map(|known| known.methods.iter().map(String::as_str)).collect();
        // The framework answers HEAD wherever it answers GET.
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.dedup();
        methods.join(", ")
    }

    /// The template that a path fits, for metrics.
    pub(super) fn template(&self, path: &str) -> &str {
        let known = self.known.iter().find(|known| fits(&known.template, path));
        known.map_or("unknown", |known| &known.template)
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found)) => {
                let is_parameter = wanted.starts_with('{') && !found.is_empty();
                if !is_parameter && wanted != found {
                    return false;
                }
            }
            _ => return false,
        }
    }
}
