//! The order service: placing, looking up, cancelling and watching orders.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use super::catalog::Catalog;
use super::creation::created;
use super::details::{Failure, Violations};
use super::page::{self, PageRequest};
use super::seed;
use super::users::{Users, check_address, suspended};
use crate::pb::shop::orders::v1::order_service_server::OrderService;
use crate::pb::shop::orders::v1::payment::Method;
use crate::pb::shop::orders::v1::{
    CancelOrderRequest, CreateOrderRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, OrderEvent,
    OrderLine, OrderStatus, WatchOrderRequest,
};
use crate::pb::shop::users::v1::UserStatus;

const MAX_ORDERS: usize = 10_000;
const MAX_LINES: usize = 50;
const MAX_QUANTITY: i32 = 1000;
const MAX_NOTE_CHARACTERS: usize = 500;
const PROMISED_WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);
const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
const MAX_INTERVAL: Duration = Duration::from_secs(60);

const RESOURCE_TYPE: &str = "shop.orders.v1.Order";

/// The service and its state.
#[derive(Debug)]
pub(crate) struct Orders {
    users: Arc<Users>,
    catalog: Catalog,
    book: Book,
    stopped: watch::Receiver<bool>,
}

/// All orders by number. Locked before the shelf where both are needed.
#[derive(Clone, Debug)]
struct Book(Arc<Mutex<BTreeMap<u64, Order>>>);

impl Orders {
    /// The service with the demo's orders. Watches end once `stopped` is true.
    pub(crate) fn seeded(users: Arc<Users>, catalog: Catalog, stopped: watch::Receiver<bool>) -> Self {
        let orders = seed::orders().into_iter().filter_map(|order| Some((number(&order.order_id)?, order))).collect();
        Self { users, catalog, book: Book(Arc::new(Mutex::new(orders))), stopped }
    }

    fn create(&self, request: CreateOrderRequest) -> Result<Order, Failure> {
        check(&request)?;
        let user = self.users.find(&request.user_id)?;
        if user.status() == UserStatus::Suspended {
            return Err(suspended(&user));
        }
        let mut book = self.book.lock();
        if book.len() >= MAX_ORDERS {
            let description = "the demo has no room for another order";
            return Err(Failure::exhausted("orders", description, Duration::from_secs(60)));
        }
        let wanted: Vec<_> = request.lines.iter().map(|line| (line.product.as_str(), line.quantity)).collect();
        let products = self.catalog.shelf().take(&wanted)?;
        let lines: Vec<_> = products
            .into_iter()
            .zip(&request.lines)
            .map(|(product, line)| OrderLine {
                product: product.name,
                title: product.title,
                quantity: line.quantity,
                unit_price_cents: product.price_cents,
            })
            .collect();
        let number = book.last_key_value().map_or(1, |(last, _)| last + 1);
        let mut order = Order {
            order_id: number.to_string(),
            user_id: request.user_id,
            total_cents: total_cents(&lines),
            lines,
            payment: request.payment,
            delivery_address: request.delivery_address.or(user.address),
            note: request.note,
            promised_within: prost_types::Duration::try_from(PROMISED_WITHIN).ok(),
            created_at: Some(SystemTime::now().into()),
            ..Order::default()
        };
        move_to(&mut order, OrderStatus::Placed, describe(OrderStatus::Placed));
        book.insert(number, order.clone());
        Ok(order)
    }

    fn cancel(&self, request: &CancelOrderRequest) -> Result<Order, Failure> {
        let mut book = self.book.lock();
        let order = find(&mut book, &request.order_id)?;
        match order.status() {
            OrderStatus::Placed | OrderStatus::Paid | OrderStatus::Packed => {}
            status @ (OrderStatus::Unspecified
            | OrderStatus::Shipped
            | OrderStatus::Delivered
            | OrderStatus::Cancelled) => {
                let description = format!("the order is {}", status.as_str_name());
                let violation = ("ORDER_STATUS", format!("orders/{}", order.order_id), description);
                let failure = Failure::precondition("the order can no longer be cancelled", [violation]);
                return Err(failure.with_reason("TOO_LATE", &[("status", status.as_str_name())]));
            }
        }
        let pieces: Vec<_> = order.lines.iter().map(|line| (line.product.as_str(), line.quantity)).collect();
        self.catalog.shelf().put_back(&pieces);
        let reason = if request.reason.is_empty() { describe(OrderStatus::Cancelled) } else { &request.reason };
        move_to(order, OrderStatus::Cancelled, reason);
        Ok(order.clone())
    }

    fn list(&self, request: &ListOrdersRequest) -> Result<ListOrdersResponse, Failure> {
        if !request.user_id.is_empty() {
            self.users.find(&request.user_id)?;
        }
        let question = ListOrdersRequest { page_size: 0, page_token: String::new(), ..request.clone() };
        let page =
            PageRequest { size: request.page_size, token: &request.page_token, question: page::question(&question) };
        let since = request.placed_since.map_or(i64::MIN, |time| time.seconds);
        let matches = |order: &&Order| {
            (request.user_id.is_empty() || request.user_id == order.user_id)
                && (request.statuses.is_empty() || request.statuses.contains(&order.status))
                && order.created_at.is_some_and(|time| time.seconds >= since)
        };
        let book = self.book.lock();
        let page = page.cut(book.values().rev().filter(matches).collect())?;
        let orders = page.items.into_iter().cloned().collect();
        Ok(ListOrdersResponse { orders, next_page_token: page.next_token, total_size: page.total })
    }
}

impl Book {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client that follows one order.
struct Watch {
    book: Book,
    number: u64,
    interval: Duration,
    /// The sequence of the last event that was sent; 0 before the first.
    sent: i32,
    stopped: watch::Receiver<bool>,
}

impl Watch {
    /// The next event; `None` once the order is at its end and the client knows.
    async fn next(&mut self) -> Option<Result<OrderEvent, Status>> {
        if let Some(event) = self.unsent() {
            return Some(Ok(event));
        }
        if self.is_over() {
            return None;
        }
        if !self.interval.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                _ = self.stopped.wait_for(|stopped| *stopped) => {
                    return Some(Err(Status::unavailable("the shop is closing")));
                }
            }
        }
        // Another watch or a cancellation may have moved the order on in the meantime.
        if let Some(event) = self.unsent() {
            return Some(Ok(event));
        }
        self.advance();
        self.unsent().map(Ok)
    }

    fn unsent(&mut self) -> Option<OrderEvent> {
        let book = self.book.lock();
        let history = &book.get(&self.number)?.history;
        let event = match self.sent {
            0 => history.last(),
            sent => history.iter().find(|event| event.sequence > sent),
        }?;
        self.sent = event.sequence;
        Some(event.clone())
    }

    fn is_over(&self) -> bool {
        self.book.lock().get(&self.number).and_then(|order| after(order.status())).is_none()
    }

    fn advance(&self) {
        if let Entry::Occupied(mut order) = self.book.lock().entry(self.number)
            && let Some(status) = after(order.get().status())
        {
            move_to(order.get_mut(), status, describe(status));
        }
    }
}

/// The number in an id, where it has the form of one.
fn number(order_id: &str) -> Option<u64> {
    order_id.parse().ok().filter(|number: &u64| number.to_string() == order_id)
}

fn find<'a>(book: &'a mut BTreeMap<u64, Order>, order_id: &str) -> Result<&'a mut Order, Failure> {
    number(order_id)
        .and_then(|number| book.get_mut(&number))
        .ok_or_else(|| Failure::not_found(RESOURCE_TYPE, &format!("orders/{order_id}")))
}

fn move_to(order: &mut Order, status: OrderStatus, description: &str) {
    let now = Some(SystemTime::now().into());
    order.set_status(status);
    if status == OrderStatus::Delivered {
        order.delivered_at = now;
    }
    order.history.push(OrderEvent {
        sequence: order.history.last().map_or(1, |event| event.sequence + 1),
        order_id: order.order_id.clone(),
        status: status.into(),
        changed_at: now,
        description: description.to_owned(),
    });
}

/// The state after this one, where an order goes on by itself.
fn after(status: OrderStatus) -> Option<OrderStatus> {
    match status {
        OrderStatus::Placed => Some(OrderStatus::Paid),
        OrderStatus::Paid => Some(OrderStatus::Packed),
        OrderStatus::Packed => Some(OrderStatus::Shipped),
        OrderStatus::Shipped => Some(OrderStatus::Delivered),
        OrderStatus::Unspecified | OrderStatus::Delivered | OrderStatus::Cancelled => None,
    }
}

/// What the history says of this state.
pub(crate) fn describe(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Unspecified => "nothing is known",
        OrderStatus::Placed => "the order was placed",
        OrderStatus::Paid => "the payment went through",
        OrderStatus::Packed => "the goods are in their box",
        OrderStatus::Shipped => "the carrier has the box",
        OrderStatus::Delivered => "the box was handed over",
        OrderStatus::Cancelled => "the order was cancelled",
    }
}

pub(crate) fn total_cents(lines: &[OrderLine]) -> i64 {
    lines.iter().map(|line| line.unit_price_cents * i64::from(line.quantity)).sum()
}

fn check(request: &CreateOrderRequest) -> Result<(), Failure> {
    let mut violations = Violations::default();
    if request.user_id.is_empty() {
        violations.add("userId", "REQUIRED", "an order belongs to an account");
    }
    if !(1..=MAX_LINES).contains(&request.lines.len()) {
        violations.add("lines", "OUT_OF_RANGE", format!("an order has 1 to {MAX_LINES} lines"));
    }
    for (index, line) in request.lines.iter().enumerate().take(MAX_LINES) {
        if !(1..=MAX_QUANTITY).contains(&line.quantity) {
            let description = format!("{} is not 1 to {MAX_QUANTITY} pieces", line.quantity);
            violations.add(format!("lines[{index}].quantity"), "OUT_OF_RANGE", description);
        }
        if request.lines.iter().take(index).any(|other| other.product == line.product) {
            violations.add(format!("lines[{index}].product"), "REPEATED", "another line has this product");
        }
    }
    check_payment(request, &mut violations);
    if let Some(address) = &request.delivery_address {
        check_address(address, "deliveryAddress", &mut violations);
    }
    if request.note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE_CHARACTERS) {
        violations.add("note", "TOO_LONG", format!("a note has at most {MAX_NOTE_CHARACTERS} characters"));
    }
    violations.finish()
}

fn check_payment(request: &CreateOrderRequest, violations: &mut Violations) {
    match request.payment.as_ref().and_then(|payment| payment.method.as_ref()) {
        None => violations.add("payment", "REQUIRED", "an order is paid by card, invoice or voucher"),
        Some(Method::Card(card)) => {
            if card.last_four.len() != 4 || !card.last_four.bytes().all(|byte| byte.is_ascii_digit()) {
                violations.add("payment.card.lastFour", "MALFORMED", "the last four digits of the card");
            }
            if !(1..=12).contains(&card.expiry_month) {
                violations.add("payment.card.expiryMonth", "OUT_OF_RANGE", "a month is 1 to 12");
            }
        }
        Some(Method::VoucherCode(code)) if code.is_empty() => {
            violations.add("payment.voucherCode", "REQUIRED", "a voucher has a code");
        }
        Some(Method::Invoice(_) | Method::VoucherCode(_)) => {}
    }
}

fn interval(requested: Option<prost_types::Duration>) -> Result<Duration, Failure> {
    let Some(requested) = requested else { return Ok(DEFAULT_INTERVAL) };
    // Not prost's own conversion, which overflows on the least of all numbers of seconds.
    let parts = (u64::try_from(requested.seconds), u32::try_from(requested.nanos));
    let interval = match parts {
        (Ok(seconds), Ok(nanos)) => Duration::from_secs(seconds).checked_add(Duration::from_nanos(nanos.into())),
        (Err(_), _) | (_, Err(_)) => None,
    };
    interval.filter(|interval| *interval <= MAX_INTERVAL).ok_or_else(|| {
        let description = format!("an interval is 0 to {} seconds", MAX_INTERVAL.as_secs());
        Failure::invalid("interval", "OUT_OF_RANGE", description)
    })
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn create_order(&self, request: Request<CreateOrderRequest>) -> Result<Response<Order>, Status> {
        let order = self.create(request.into_inner())?;
        let location = format!("/v1/orders/{}", order.order_id);
        Ok(created(order, &location))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<Order>, Status> {
        Ok(Response::new(find(&mut self.book.lock(), &request.get_ref().order_id)?.clone()))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        Ok(Response::new(self.list(request.get_ref())?))
    }

    async fn cancel_order(&self, request: Request<CancelOrderRequest>) -> Result<Response<Order>, Status> {
        Ok(Response::new(self.cancel(request.get_ref())?))
    }

    type WatchOrderStream = BoxStream<OrderEvent>;

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Self::WatchOrderStream>, Status> {
        let WatchOrderRequest { order_id, interval: requested } = request.into_inner();
        let interval = interval(requested)?;
        find(&mut self.book.lock(), &order_id)?;
        let number = number(&order_id).unwrap_or_default();
        let stopped = self.stopped.clone();
        let watch = Watch { book: self.book.clone(), number, interval, sent: 0, stopped };
        let events = futures_util::stream::unfold(watch, |mut watch| async move {
            let event = watch.next().await?;
            Some((event, watch))
        });
        Ok(Response::new(Box::pin(events)))
    }
}
