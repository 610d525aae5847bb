//! From a client's request for a service to what a deployment is sent.

use std::borrow::Cow;

use bytes::Bytes;
use dialects::document::Document;
use dialects::exchange::Target;
use dialects::loss::{Losses, ParameterPolicy};
use dialects::service::{Form, Service, adapt};
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::Deployment;
use crate::ask::{PrepareError, Prepared};

impl Deployment {
    /// Writes a request for a service for this deployment: the client's bytes, edited where they must be. `fields` are
    /// the fields of the body, or the text fields of `form`.
    ///
    /// # Errors
    /// When the deployment has no such service, or cannot be told what the request says.
    pub fn prepare_service(
        &self,
        service: Service,
        fields: &Document<'_>,
        form: Option<(&Form<'_>, HeaderValue)>,
        policy: Option<&ParameterPolicy>,
    ) -> Result<Prepared<'_>, PrepareError> {
        if let Some(why) = &self.unusable {
            return Err(PrepareError::Unusable(why.clone()));
        }
        let Some(road) = self.services.iter().find(|road| road.service == service) else {
            return Err(PrepareError::Unserved(format!(
                "provider `{}` serves no {} that this version speaks (model `{}`)",
                self.provider,
                service.name(),
                self.model
            )));
        };
        let target = Target {
            model: &road.model,
            quirks: &road.quirks,
            policy: policy.unwrap_or(&self.policy),
            facts: &self.facts,
        };
        let mut losses = Losses::new(target.policy.drop_params);
        let mut fields = fields.clone();
        for (name, value) in &self.defaults {
            if !fields.has(name) {
                fields.set_value(name, value);
            }
        }
        for (name, value) in &self.extra_body {
            fields.set_value(name, value);
        }
        adapt(service, &mut fields, &target, &mut losses)?;
        let mut headers = Cow::Borrowed(&road.road.headers);
        let body = match form {
            Some((form, content_type)) => {
                headers.to_mut().insert(CONTENT_TYPE, content_type);
                form.write(&fields)
            }
            None => fields.to_bytes(),
        };
        Ok(Prepared {
            road: &road.road,
            body: Bytes::from(body),
            headers,
            authorization: None,
            notes: losses.into_notes(),
            stream: false,
            request: None,
        })
    }
}
