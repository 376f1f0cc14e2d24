//! A conversation to the prompt that the model was trained on.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind as TemplateErrorKind, Value, context};

use super::tokens::{Metadata, Tokens, text};
use crate::{Error, ErrorKind, Message, Result, Role};

const NAME: &str = "chat";

/// The format that most small models use, for files without a template of
/// their own.
const CHAT_ML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n\
    {{ message.content }}<|im_end|>\n{% endfor %}\
    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A Jinja template from the model's file.
pub(super) struct ChatTemplate {
    environment: Environment<'static>,
}

impl ChatTemplate {
    pub(super) fn from_metadata(metadata: &Metadata, tokens: &Tokens) -> Result<Self> {
        let probe = [message(Role::User, "hello")];
        let own = text(metadata, "tokenizer.chat_template").ok();
        if let Some(own) = own {
            match Self::new(own).and_then(|it| it.render(&probe, tokens).map(|_| it)) {
                Ok(template) => return Ok(template),
                Err(error) => tracing::warn!(%error, "the model's chat template is not used"),
            }
        }
        if tokens
            .control_names()
            .iter()
            .any(|name| name == "<|im_start|>")
        {
            return Self::new(CHAT_ML);
        }
        Err(Error::new(
            ErrorKind::InvalidInput,
            "there is no usable chat template in the file: is this a model for conversations?",
        ))
    }

    fn new(source: &str) -> Result<Self> {
        let mut environment = Environment::new();
        // Templates are written for the settings of Hugging Face transformers.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        environment.set_syntax(syntax.map_err(refused)?);
        environment.add_function("raise_exception", |message: String| {
            Err::<Value, _>(minijinja::Error::new(
                TemplateErrorKind::InvalidOperation,
                message,
            ))
        });
        environment
            .add_template_owned(NAME, source.to_owned())
            .map_err(refused)?;
        Ok(Self { environment })
    }

    /// The prompt, up to where the model goes on.
    ///
    /// Names of control tokens inside a message are broken up, so that a quoted
    /// document cannot end its turn and speak as somebody else.
    pub(super) fn render(&self, messages: &[Message], tokens: &Tokens) -> Result<String> {
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                let role = match message.role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                };
                let content = break_up(&message.content, tokens.control_names());
                context! { role => role, content => content }
            })
            .collect();
        let template = self.environment.get_template(NAME).map_err(refused)?;
        template
            .render(context! {
                messages => messages,
                add_generation_prompt => true,
                bos_token => tokens.bos(),
                eos_token => tokens.eos(),
            })
            .map_err(refused)
    }
}

/// Puts a space after the first character of each name.
fn break_up(text: &str, names: &[String]) -> String {
    let mut text = text.to_owned();
    for name in names {
        let Some(first) = name.chars().next() else {
            continue;
        };
        if text.contains(name.as_str()) {
            let (head, tail) = name.split_at(first.len_utf8());
            text = text.replace(name.as_str(), &format!("{head} {tail}"));
        }
    }
    text
}

fn message(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.to_owned(),
    }
}

fn refused(cause: minijinja::Error) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        "the model's chat template does not accept this conversation",
    )
    .because(cause)
}
