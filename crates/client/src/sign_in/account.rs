use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use ring::digest::{SHA256, digest};
use tokio::sync::watch;

use super::{Grant, SignInError, TokenClient, TokenSource};

/// How long before its end a token is replaced, at most; Google's and Microsoft's own servers hand out a token for about
/// as long before they make a new one.
const AHEAD: Duration = Duration::from_secs(4 * 60);
/// A token this short before its end is not sent any more: it has to live until the provider looks at it.
const LAST: Duration = Duration::from_secs(10);
/// How long the old token is used before the next try, where a new one could not be had ahead of time.
const PAUSE: Duration = Duration::from_secs(15);
/// How long a failure is the answer, without the token server being asked again.
const SULK: Duration = Duration::from_secs(1);

/// Who signs in, and the token that is good now.
///
/// Requests take the token from here. When its end comes near, one request has a new one fetched beside it and goes out
/// with the old one; without a good one, all wait for the same outcome.
pub struct Account {
    source: Box<dyn TokenSource>,
    /// The hash of [`TokenSource::identity`].
    identity: [u8; 32],
    client: Arc<TokenClient>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    token: Option<Token>,
    failure: Option<Failure>,
    /// What a fetch that is under way will come to. Closed where it was cut off.
    fetching: Option<Fetch>,
}

/// What a fetch came to, once it is over.
type Fetch = watch::Receiver<Option<Result<HeaderValue, SignInError>>>;

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    /// From here on a new one is fetched.
    due: Instant,
    end: Instant,
}

struct Failure {
    at: Instant,
    error: SignInError,
}

/// What is there for a request.
enum Found {
    /// A good token.
    Good(HeaderValue),
    /// A good one, which should be replaced.
    Due(HeaderValue),
    /// The token server has just refused.
    Refused(SignInError),
    Nothing,
}

impl Held {
    fn look(&self, now: Instant) -> Found {
        let failed = self.failure.as_ref();
        if let Some(token) = self.token.as_ref().filter(|token| now < token.end) {
            let pausing = failed.is_some_and(|failure| now < failure.at + PAUSE);
            return if now < token.due || pausing {
                Found::Good(token.header.clone())
            } else {
                Found::Due(token.header.clone())
            };
        }
        match failed {
            Some(failure) if now < failure.at + SULK => Found::Refused(failure.error.clone()),
            _ => Found::Nothing,
        }
    }

    /// Keeps what a fetch came to, and says what it means for those who waited for it.
    fn take(
        &mut self,
        asked: Instant,
        now: Instant,
        outcome: Result<Grant, SignInError>,
    ) -> Result<HeaderValue, SignInError> {
        self.fetching = None;
        match outcome.and_then(|grant| Token::new(&grant, asked)) {
            Ok(token) => {
                let header = token.header.clone();
                (self.token, self.failure) = (Some(token), None);
                Ok(header)
            }
            Err(error) => {
                self.failure = Some(Failure { at: now, error: error.clone() });
                Err(error)
            }
        }
    }
}

impl Token {
    fn new(grant: &Grant, asked: Instant) -> Result<Self, SignInError> {
        let Some(header) = grant.token.header("Bearer ") else {
            return Err(SignInError::lasting("the access token has characters that no header can hold"));
        };
        if grant.lifetime.is_zero() {
            return Err(SignInError::lasting("the access token that came had already expired"));
        }
        // Nothing lives longer than a day without being looked at again.
        let lifetime = grant.lifetime.min(Duration::from_secs(24 * 60 * 60));
        let due = asked + lifetime.saturating_sub(AHEAD.min(lifetime / 2));
        Ok(Self { header, due, end: asked + lifetime.saturating_sub(LAST.min(lifetime / 10)) })
    }
}

impl Account {
    /// An account without a token yet.
    #[must_use]
    pub fn new(source: Box<dyn TokenSource>, client: Arc<TokenClient>) -> Self {
        let identity = hash(source.identity().expose());
        Self { source, identity, client, held: Mutex::default() }
    }

    /// The same for the same identity, also after a restart; tells nothing about it.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        self.identity
    }

    /// Who signs in, for messages.
    #[must_use]
    pub fn who(&self) -> String {
        self.source.who()
    }

    /// The value of the `authorization` header.
    ///
    /// # Errors
    /// When there is no token and none can be had.
    pub async fn authorization(self: &Arc<Self>) -> Result<HeaderValue, SignInError> {
        let mut fetch = {
            let mut held = self.held();
            match held.look(Instant::now()) {
                Found::Good(header) => return Ok(header),
                Found::Refused(error) => return Err(error),
                Found::Due(header) => {
                    self.fetch_beside(&mut held);
                    return Ok(header);
                }
                Found::Nothing => self.fetch_beside(&mut held),
            }
        };
        // What came of it is told to all who wait: what is held may be gone again by then.
        match fetch.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(SignInError::lasting("it was cut off").of(&self.who())),
        }
    }

    /// The provider did not take `header`: it is not sent again.
    pub fn reject(&self, header: &HeaderValue) {
        let mut held = self.held();
        if held.token.as_ref().is_some_and(|token| token.header == header) {
            held.token = None;
        }
    }

    /// Takes over what an account of the same identity has.
    pub(super) fn continue_from(&self, earlier: &Self) {
        let token = earlier.held().token.clone();
        self.held().token = token;
    }

    /// Fetches in a task, unless one does already: a request that goes away, or waits less long, does not stop it. It ends
    /// by itself, since the token server's answer is waited for only so long.
    fn fetch_beside(self: &Arc<Self>, held: &mut Held) -> Fetch {
        // Its task may be gone with the runtime that it was started on.
        if let Some(fetch) = held.fetching.as_ref().filter(|fetch| fetch.has_changed().is_ok()) {
            return fetch.clone();
        }
        let (tell, fetch) = watch::channel(None);
        held.fetching = Some(fetch.clone());
        let account = Arc::clone(self);
        tokio::spawn(async move {
            let asked = Instant::now();
            let outcome = account.source.token(&account.client).await;
            let outcome =
                account.held().take(asked, Instant::now(), outcome.map_err(|error| error.of(&account.who())));
            // Nobody may be waiting.
            _ = tell.send(Some(outcome));
        });
        fetch
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("who", &self.who()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
