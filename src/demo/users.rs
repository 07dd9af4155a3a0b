//! The user service: accounts and their preferences.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use prost_types::{Struct, Timestamp};
use tonic::{Code, Request, Response, Status};

use super::creation::created;
use super::details::{Failure, Violations};
use super::page::{self, PageRequest};
use super::{mask, seed};
use crate::pb::shop::users::v1::user_service_server::UserService;
use crate::pb::shop::users::v1::{
    Address, CreateUserRequest, DeleteUserRequest, GetPreferencesRequest, GetUserRequest, ListUsersRequest,
    ListUsersResponse, Preferences, ReinstateUserRequest, ReplacePreferencesRequest, SuspendUserRequest,
    UpdateUserRequest, User, UserStatus,
};

const MAX_ACCOUNTS: usize = 1000;
const MAX_LABELS: usize = 32;
const MAX_PREFERENCES: usize = 64;
const MAX_NAME_CHARACTERS: usize = 100;

const RESOURCE_TYPE: &str = "shop.users.v1.User";
const CHANGEABLE: [&str; 6] = ["display_name", "email", "phone", "address", "newsletter", "labels"];
const OUTPUT_ONLY: [&str; 5] = ["user_id", "status", "loyalty_points", "created_at", "updated_at"];

/// The service and its state.
#[derive(Debug)]
pub(crate) struct Users {
    accounts: Mutex<Accounts>,
}

#[derive(Debug)]
struct Accounts {
    by_id: BTreeMap<String, Account>,
    /// The number in the next id.
    next: u32,
}

#[derive(Debug)]
struct Account {
    user: User,
    preferences: Struct,
}

impl Users {
    /// The service with the demo's accounts.
    pub(crate) fn seeded() -> Self {
        let by_id = seed::users()
            .into_iter()
            .map(|(user, preferences)| (user.user_id.clone(), Account { user, preferences }))
            .collect();
        Self { accounts: Mutex::new(Accounts { by_id, next: 1 }) }
    }

    /// The account of this id.
    pub(crate) fn find(&self, user_id: &str) -> Result<User, Failure> {
        self.lock().find(user_id).map(|account| account.user.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_status(&self, user_id: &str, status: UserStatus) -> Result<User, Failure> {
        let mut accounts = self.lock();
        let user = &mut accounts.find(user_id)?.user;
        if user.status() == status {
            let description = format!("the account is {} already", status.as_str_name());
            let violation = ("ACCOUNT_STATUS", format!("users/{user_id}"), description);
            return Err(Failure::precondition("the account is in that state already", [violation]));
        }
        user.set_status(status);
        user.updated_at = Some(SystemTime::now().into());
        Ok(user.clone())
    }
}

impl Accounts {
    fn find(&mut self, user_id: &str) -> Result<&mut Account, Failure> {
        self.by_id.get_mut(user_id).ok_or_else(|| Failure::not_found(RESOURCE_TYPE, &format!("users/{user_id}")))
    }

    fn list(&self, request: ListUsersRequest) -> Result<ListUsersResponse, Failure> {
        let query = request.query.to_lowercase();
        let since = request.created_since.map_or(i64::MIN, |time| time.seconds);
        let matches = |user: &&User| {
            let has = |text: &str| text.to_lowercase().contains(&query);
            (has(&user.display_name) || has(&user.email))
                && (request.statuses.is_empty() || request.statuses.contains(&user.status))
                && request.labels.iter().all(|(key, value)| user.labels.get(key) == Some(value))
                && user.created_at.is_some_and(|time| time.seconds >= since)
        };
        let users = self.by_id.values().map(|account| &account.user).filter(matches).cloned().collect();
        let question = ListUsersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let page =
            PageRequest { size: request.page_size, token: &request.page_token, question: page::question(&question) };
        let page = page.cut(users)?;
        Ok(ListUsersResponse { users: page.items, next_page_token: page.next_token, total_size: page.total })
    }

    fn create(&mut self, user: User) -> Result<User, Failure> {
        check(&user)?;
        self.check_email(&user.email, "")?;
        if self.by_id.len() >= MAX_ACCOUNTS {
            let description = "the demo has no room for another account";
            return Err(Failure::exhausted("accounts", description, Duration::from_secs(60)));
        }
        let user_id = format!("user-{}", self.next);
        self.next += 1;
        let now = Timestamp::from(SystemTime::now());
        let user = User {
            user_id: user_id.clone(),
            status: UserStatus::Active.into(),
            loyalty_points: 0,
            created_at: Some(now),
            updated_at: Some(now),
            ..user
        };
        self.by_id.insert(user_id, Account { user: user.clone(), preferences: Struct::default() });
        Ok(user)
    }

    fn update(&mut self, request: UpdateUserRequest) -> Result<User, Failure> {
        let new = request.user.unwrap_or_default();
        let mut violations = Violations::default();
        let paths = mask::paths(request.update_mask.as_ref(), &CHANGEABLE, &OUTPUT_ONLY, &mut violations);
        let mut user = self.find(&new.user_id)?.user.clone();
        for path in paths {
            if merge(&mut user, &new, path).is_none() {
                violations.add("updateMask", "UNKNOWN_FIELD", format!("`{path}` is not a field that can be changed"));
            }
        }
        violations.finish()?;
        check(&user)?;
        self.check_email(&user.email, &user.user_id)?;
        user.updated_at = Some(SystemTime::now().into());
        self.find(&new.user_id)?.user = user.clone();
        Ok(user)
    }

    fn delete(&mut self, user_id: &str) -> Result<(), Failure> {
        if self.find(user_id)?.user.status() != UserStatus::Suspended {
            let violation = (
                "ACCOUNT_STATUS",
                format!("users/{user_id}"),
                "only a suspended account can be closed; suspend it first".to_owned(),
            );
            return Err(Failure::precondition("the account is in use", [violation]));
        }
        self.by_id.remove(user_id);
        Ok(())
    }

    /// No account but `owner` may have this address.
    fn check_email(&self, email: &str, owner: &str) -> Result<(), Failure> {
        let taken =
            |account: &&Account| account.user.user_id != owner && account.user.email.eq_ignore_ascii_case(email);
        match self.by_id.values().find(taken) {
            // The name of the other account stays private.
            Some(_) => Err(Failure::already_exists(RESOURCE_TYPE, "", "another account has this e-mail address")
                .with_reason("EMAIL_TAKEN", &[("email", email)])),
            None => Ok(()),
        }
    }
}

fn check(user: &User) -> Result<(), Failure> {
    let mut violations = Violations::default();
    if user.display_name.trim().is_empty() {
        violations.add("displayName", "REQUIRED", "a name must not be empty");
    } else if user.display_name.chars().count() > MAX_NAME_CHARACTERS {
        violations.add("displayName", "TOO_LONG", format!("a name has at most {MAX_NAME_CHARACTERS} characters"));
    }
    match user.email.split_once('@') {
        Some((local, domain)) if !local.is_empty() && domain.contains('.') => {}
        _ => violations.add("email", "MALFORMED", format!("`{}` is not an e-mail address", user.email)),
    }
    if user.labels.len() > MAX_LABELS {
        violations.add("labels", "TOO_MANY", format!("there are at most {MAX_LABELS} labels"));
    }
    if let Some(address) = &user.address {
        check_address(address, "address", &mut violations);
    }
    violations.finish()
}

/// Checks an address that stands in the request's field `field`.
pub(crate) fn check_address(address: &Address, field: &str, violations: &mut Violations) {
    let code = &address.country_code;
    if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        let description = format!("`{code}` is not two capital letters, such as `PT`");
        violations.add(format!("{field}.countryCode"), "MALFORMED", description);
    }
    if address.city.is_empty() {
        violations.add(format!("{field}.city"), "REQUIRED", "an address must have a city");
    }
}

/// Copies one path; `None` where it does not lead to a field.
fn merge(user: &mut User, new: &User, path: &str) -> Option<()> {
    match path {
        "display_name" => user.display_name.clone_from(&new.display_name),
        "email" => user.email.clone_from(&new.email),
        "phone" => user.phone.clone_from(&new.phone),
        "address" => user.address.clone_from(&new.address),
        "newsletter" => user.newsletter = new.newsletter,
        "labels" => user.labels.clone_from(&new.labels),
        _ => {
            let part = path.strip_prefix("address.")?;
            let new = new.address.clone().unwrap_or_default();
            let address = user.address.get_or_insert_default();
            match part {
                "lines" => address.lines = new.lines,
                "city" => address.city = new.city,
                "postal_code" => address.postal_code = new.postal_code,
                "country_code" => address.country_code = new.country_code,
                _ => return None,
            }
        }
    }
    Some(())
}

#[tonic::async_trait]
impl UserService for Users {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        Ok(Response::new(self.find(&request.get_ref().user_id)?))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        Ok(Response::new(self.lock().list(request.into_inner())?))
    }

    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        let user = self.lock().create(request.into_inner().user.unwrap_or_default())?;
        let location = format!("/v1/users/{}", user.user_id);
        Ok(created(user, &location))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<User>, Status> {
        Ok(Response::new(self.lock().update(request.into_inner())?))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Result<Response<()>, Status> {
        Ok(Response::new(self.lock().delete(&request.get_ref().user_id)?))
    }

    async fn suspend_user(&self, request: Request<SuspendUserRequest>) -> Result<Response<User>, Status> {
        let SuspendUserRequest { user_id, reason } = request.into_inner();
        if reason.trim().chars().count() < 3 {
            return Err(Failure::invalid("reason", "REQUIRED", "the user must be told a reason").into());
        }
        Ok(Response::new(self.change_status(&user_id, UserStatus::Suspended)?))
    }

    async fn reinstate_user(&self, request: Request<ReinstateUserRequest>) -> Result<Response<User>, Status> {
        Ok(Response::new(self.change_status(&request.get_ref().user_id, UserStatus::Active)?))
    }

    async fn get_preferences(&self, request: Request<GetPreferencesRequest>) -> Result<Response<Preferences>, Status> {
        let user_id = request.into_inner().user_id;
        let values = self.lock().find(&user_id)?.preferences.clone();
        Ok(Response::new(Preferences { user_id, values: Some(values) }))
    }

    async fn replace_preferences(
        &self,
        request: Request<ReplacePreferencesRequest>,
    ) -> Result<Response<Preferences>, Status> {
        let ReplacePreferencesRequest { user_id, values } = request.into_inner();
        let values = values.unwrap_or_default();
        if values.fields.len() > MAX_PREFERENCES {
            let description = format!("there are at most {MAX_PREFERENCES} preferences");
            return Err(Failure::invalid("values", "TOO_MANY", description).into());
        }
        self.lock().find(&user_id)?.preferences = values.clone();
        Ok(Response::new(Preferences { user_id, values: Some(values) }))
    }
}

/// PERMISSION_DENIED for an account that may not order.
pub(crate) fn suspended(user: &User) -> Failure {
    Failure::new(Code::PermissionDenied, "the account is suspended")
        .with_reason("ACCOUNT_SUSPENDED", &[("user", &user.user_id)])
        .with_localized("en", "Your account is on hold. Please write to support@shop.example.")
}
