//! Every RPC of the shop over its real socket, and what its failures say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::{Method as Verb, StatusCode};
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::{FieldMask, FileDescriptorSet, Struct, Value, value};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use super::export::Export;
use super::users::Users;
use super::{DESCRIPTORS, Shop, picture, requests, seed};
use crate::pb::google::api::HttpBody;
use crate::pb::google::rpc;
use crate::pb::grpc::health::v1::HealthCheckRequest;
use crate::pb::grpc::health::v1::health_check_response::ServingStatus;
use crate::pb::grpc::health::v1::health_client::HealthClient;
use crate::pb::grpc::reflection::v1::server_reflection_client::ServerReflectionClient;
use crate::pb::grpc::reflection::v1::server_reflection_request::MessageRequest;
use crate::pb::grpc::reflection::v1::server_reflection_response::MessageResponse;
use crate::pb::grpc::reflection::v1::{ExtensionRequest, ServerReflectionRequest};
use crate::pb::grpc::reflection::v1alpha;
use crate::pb::shop::catalog::v1::catalog_service_client::CatalogServiceClient;
use crate::pb::shop::catalog::v1::quote_prices_response::Result as QuoteResult;
use crate::pb::shop::catalog::v1::{
    Availability, CreateProductRequest, DeleteProductRequest, DownloadPictureRequest, ExportProductsRequest,
    GetProductRequest, ImportProductsRequest, ListProductsRequest, Product, ProductOrder, QuotePricesRequest,
    RestockProductRequest, UpdateProductRequest, UploadPictureRequest,
};
use crate::pb::shop::orders::v1::order_service_client::OrderServiceClient;
use crate::pb::shop::orders::v1::payment::{Card, Method};
use crate::pb::shop::orders::v1::{
    CancelOrderRequest, CreateOrderRequest, GetOrderRequest, ListOrdersRequest, OrderLine, OrderStatus, Payment,
    WatchOrderRequest,
};
use crate::pb::shop::users::v1::user_service_client::UserServiceClient;
use crate::pb::shop::users::v1::user_service_server::UserService;
use crate::pb::shop::users::v1::{
    Address, CreateUserRequest, DeleteUserRequest, GetPreferencesRequest, GetUserRequest, ListUsersRequest,
    ReinstateUserRequest, ReplacePreferencesRequest, SuspendUserRequest, UpdateUserRequest, User, UserStatus,
};

const TIDE_TABLES: &str = "categories/books/products/tide-tables";
const TEAPOT: &str = "categories/kitchen/products/cast-iron-teapot";

/// A shop of its own for each test, and a connection to it.
struct Fixture {
    shop: Shop,
    channel: Channel,
}

impl Fixture {
    async fn start() -> Self {
        let shop = Shop::start().await.unwrap();
        let channel = Channel::from_shared(format!("http://{}", shop.address())).unwrap().connect().await.unwrap();
        Self { shop, channel }
    }

    fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel.clone())
    }

    fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel.clone())
    }

    async fn product(&self, name: &str) -> Product {
        self.catalog().get_product(GetProductRequest { name: name.to_owned() }).await.unwrap().into_inner()
    }
}

/// The detail of this type in a failure, once its code is the expected one.
#[track_caller]
fn detail<T: Message + Default>(failure: &Status, code: Code, name: &str) -> T {
    assert_eq!(failure.code(), code, "{failure}");
    let status = rpc::Status::decode(failure.details()).unwrap();
    assert_eq!((status.code, status.message.as_str()), (code.into(), failure.message()));
    let type_url = format!("type.googleapis.com/google.rpc.{name}");
    let any = status.details.iter().find(|any| any.type_url == type_url);
    T::decode(any.unwrap_or_else(|| panic!("no {name} in {status:?}")).value.as_slice()).unwrap()
}

#[track_caller]
fn violated_fields(failure: &Status) -> Vec<String> {
    let detail: rpc::BadRequest = detail(failure, Code::InvalidArgument, "BadRequest");
    detail.field_violations.into_iter().map(|violation| violation.field).collect()
}

#[track_caller]
fn check_created<T>(response: &Response<T>, location: &str) {
    assert_eq!(response.metadata().get("x-http-code").unwrap(), "201");
    assert_eq!(response.metadata().get("location").unwrap(), location);
}

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() })
}

fn voucher() -> Option<Payment> {
    Some(Payment { method: Some(Method::VoucherCode("SPRING-2026".to_owned())) })
}

fn line(product: &str, quantity: i32) -> OrderLine {
    OrderLine { product: product.to_owned(), quantity, ..OrderLine::default() }
}

fn order(user_id: &str, lines: Vec<OrderLine>) -> CreateOrderRequest {
    CreateOrderRequest { user_id: user_id.to_owned(), lines, payment: voucher(), ..CreateOrderRequest::default() }
}

#[tokio::test]
async fn user_is_found_or_named_as_missing() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let user = users.get_user(GetUserRequest { user_id: "mira".to_owned() }).await.unwrap().into_inner();
    assert_eq!((user.display_name.as_str(), user.loyalty_points), ("Mira Costa", 9_007_199_254_740_993));

    let failure = users.get_user(GetUserRequest { user_id: "nobody".to_owned() }).await.unwrap_err();
    let info: rpc::ResourceInfo = detail(&failure, Code::NotFound, "ResourceInfo");
    assert_eq!((info.resource_type.as_str(), info.resource_name.as_str()), ("shop.users.v1.User", "users/nobody"));
    let info: rpc::ErrorInfo = detail(&failure, Code::NotFound, "ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("RESOURCE_NOT_FOUND", "shop.example"));
}

#[tokio::test]
async fn pages_hold_every_user_once() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let mut request = ListUsersRequest { page_size: 4, ..ListUsersRequest::default() };
    let mut found = Vec::new();
    loop {
        let page = users.list_users(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.total_size, 6);
        found.extend(page.users.into_iter().map(|user| user.user_id));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found, ["amara", "elin", "jonas", "mira", "tomas", "yuki"]);
}

#[tokio::test]
async fn page_that_does_not_belong_to_the_question_is_rejected() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let labels = || BTreeMap::from([("tier".to_owned(), "basic".to_owned())]);
    let request = ListUsersRequest { page_size: 2, labels: labels(), ..ListUsersRequest::default() };
    let page = users.list_users(request).await.unwrap().into_inner();
    assert_eq!((page.users.len(), page.total_size), (2, 3));
    let page_token = page.next_page_token;

    let other = ListUsersRequest { page_size: 2, page_token: page_token.clone(), ..ListUsersRequest::default() };
    let garbage = ListUsersRequest { page_token: "?".to_owned(), ..ListUsersRequest::default() };
    for request in [other, garbage] {
        assert_eq!(violated_fields(&users.list_users(request).await.unwrap_err()), ["pageToken"]);
    }
    let negative = ListUsersRequest { page_size: -1, ..ListUsersRequest::default() };
    assert_eq!(violated_fields(&users.list_users(negative).await.unwrap_err()), ["pageSize"]);
    let next = ListUsersRequest { page_size: 9, page_token, labels: labels(), ..ListUsersRequest::default() };
    assert_eq!(users.list_users(next).await.unwrap().into_inner().users.len(), 1);
}

#[tokio::test]
async fn users_are_filtered() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let mut check = async |request: ListUsersRequest, expected: &[&str]| {
        let page = users.list_users(request).await.unwrap().into_inner();
        assert_eq!(page.users.iter().map(|user| user.user_id.as_str()).collect::<Vec<_>>(), expected);
    };
    let all = ListUsersRequest::default;
    check(ListUsersRequest { query: "SØREN".to_owned(), ..all() }, &["elin"]).await;
    check(ListUsersRequest { statuses: vec![UserStatus::Suspended.into()], ..all() }, &["jonas"]).await;
    let since = seed::users().last().unwrap().0.created_at;
    check(ListUsersRequest { created_since: since, ..all() }, &["yuki"]).await;
}

#[tokio::test]
async fn account_is_opened_once_for_an_address() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let user = User {
        display_name: "Noor Haddad".to_owned(),
        email: "noor@mail.example".to_owned(),
        loyalty_points: 10_000,
        ..User::default()
    };
    let response = users.create_user(CreateUserRequest { user: Some(user.clone()) }).await.unwrap();
    check_created(&response, "/v1/users/user-1");
    let created = response.into_inner();
    assert_eq!((created.user_id.as_str(), created.status(), created.loyalty_points), ("user-1", UserStatus::Active, 0));

    let again = User { email: "NOOR@mail.example".to_owned(), ..user };
    let failure = users.create_user(CreateUserRequest { user: Some(again) }).await.unwrap_err();
    let info: rpc::ErrorInfo = detail(&failure, Code::AlreadyExists, "ErrorInfo");
    assert_eq!(info.reason, "EMAIL_TAKEN");

    let address = Some(Address { country_code: "pt".to_owned(), ..Address::default() });
    let faulty = User { address, ..User::default() };
    let failure = users.create_user(CreateUserRequest { user: Some(faulty) }).await.unwrap_err();
    assert_eq!(violated_fields(&failure), ["displayName", "email", "address.countryCode", "address.city"]);
}

#[tokio::test]
async fn update_changes_what_the_mask_names() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let address = Some(Address { city: "Lisboa".to_owned(), ..Address::default() });
    let user = User { user_id: "mira".to_owned(), address, newsletter: Some(false), ..User::default() };
    let update_mask = mask(&["user_id", "address.city", "phone"]);
    let request = UpdateUserRequest { user: Some(user.clone()), update_mask };
    let updated = users.update_user(request).await.unwrap().into_inner();
    let address = updated.address.unwrap();
    assert_eq!((address.city.as_str(), address.postal_code.as_str()), ("Lisboa", "4050-262"));
    assert_eq!((updated.phone, updated.newsletter, updated.display_name.as_str()), (None, Some(true), "Mira Costa"));

    for path in ["nothing", "address.planet", "display_name.first"] {
        let request = UpdateUserRequest { user: Some(user.clone()), update_mask: mask(&[path]) };
        assert_eq!(violated_fields(&users.update_user(request).await.unwrap_err()), ["updateMask"], "{path}");
    }
    // Without a mask everything is replaced, and a user must have a name.
    let request = UpdateUserRequest { user: Some(user), update_mask: None };
    let fields = violated_fields(&users.update_user(request).await.unwrap_err());
    assert_eq!(fields, ["displayName", "email", "address.countryCode"]);
}

#[tokio::test]
async fn account_is_suspended_reinstated_and_closed() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let user_id = || "elin".to_owned();
    let delete = || DeleteUserRequest { user_id: user_id() };
    let failure = users.delete_user(delete()).await.unwrap_err();
    let precondition: rpc::PreconditionFailure = detail(&failure, Code::FailedPrecondition, "PreconditionFailure");
    assert_eq!(precondition.violations[0].subject, "users/elin");

    let suspend = |reason: &str| SuspendUserRequest { user_id: user_id(), reason: reason.to_owned() };
    assert_eq!(violated_fields(&users.suspend_user(suspend(" ")).await.unwrap_err()), ["reason"]);
    let user = users.suspend_user(suspend("unpaid invoice")).await.unwrap().into_inner();
    assert_eq!(user.status(), UserStatus::Suspended);
    assert_eq!(users.suspend_user(suspend("again")).await.unwrap_err().code(), Code::FailedPrecondition);
    let user = users.reinstate_user(ReinstateUserRequest { user_id: user_id() }).await.unwrap().into_inner();
    assert_eq!(user.status(), UserStatus::Active);

    users.suspend_user(suspend("asked for it")).await.unwrap();
    users.delete_user(delete()).await.unwrap();
    assert_eq!(users.delete_user(delete()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn preferences_are_replaced_as_a_whole() {
    let fixture = Fixture::start().await;
    let mut users = fixture.users();
    let user_id = || "yuki".to_owned();
    let before = users.get_preferences(GetPreferencesRequest { user_id: user_id() }).await.unwrap().into_inner();
    assert!(before.values.unwrap().fields.contains_key("theme"));

    let kind = Some(value::Kind::NullValue(0));
    let values = Some(Struct { fields: BTreeMap::from([("last".to_owned(), Value { kind })]) });
    let request = ReplacePreferencesRequest { user_id: user_id(), values: values.clone() };
    users.replace_preferences(request).await.unwrap();
    let after = users.get_preferences(GetPreferencesRequest { user_id: user_id() }).await.unwrap().into_inner();
    assert_eq!(after.values, values);

    let fields = (0..65).map(|number| (number.to_string(), Value::default())).collect();
    let request = ReplacePreferencesRequest { user_id: user_id(), values: Some(Struct { fields }) };
    assert_eq!(violated_fields(&users.replace_preferences(request).await.unwrap_err()), ["values"]);
}

#[tokio::test]
async fn categories_count_their_products() {
    let fixture = Fixture::start().await;
    let categories = fixture.catalog().list_categories(()).await.unwrap().into_inner().categories;
    let counts: Vec<_> = categories.iter().map(|category| (category.name.as_str(), category.product_count)).collect();
    let expected =
        [("categories/books", 3), ("categories/games", 3), ("categories/garden", 3), ("categories/kitchen", 5)];
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn products_are_searched() {
    let fixture = Fixture::start().await;
    let mut catalog = fixture.catalog();
    let mut check = async |request: ListProductsRequest, expected: &[&str]| {
        let page = catalog.list_products(request).await.unwrap().into_inner();
        let ids: Vec<_> = page.products.iter().filter_map(|product| product.name.rsplit('/').next()).collect();
        assert_eq!(ids, expected);
    };
    let all = ListProductsRequest::default;
    let tea = || ListProductsRequest { query: "tea".to_owned(), ..all() };
    check(tea(), &["mint-seeds", "cast-iron-teapot", "sencha"]).await;
    check(ListProductsRequest { parent: "categories/garden".to_owned(), ..tea() }, &["mint-seeds"]).await;
    check(ListProductsRequest { max_price_cents: Some(1450), ..tea() }, &["mint-seeds", "sencha"]).await;
    check(ListProductsRequest { max_price_cents: Some(0), ..all() }, &["welcome-card"]).await;
    check(ListProductsRequest { min_price_cents: Some(4490), ..all() }, &["bird-feeder", "cast-iron-teapot"]).await;
    let sold_out = vec![Availability::SoldOut.into()];
    check(ListProductsRequest { availability: sold_out, ..all() }, &["orrery-puzzle"]).await;
    let labels = BTreeMap::from([("origin".to_owned(), "jp".to_owned())]);
    check(ListProductsRequest { labels, ..all() }, &["cast-iron-teapot", "sencha"]).await;
    let max_delivery_time = Some(prost_types::Duration { seconds: 24 * 3600, nanos: 0 });
    check(ListProductsRequest { max_delivery_time, ..tea() }, &["mint-seeds", "sencha"]).await;
    let order_by = ProductOrder::PriceDescending.into();
    check(ListProductsRequest { order_by, ..tea() }, &["cast-iron-teapot", "sencha", "mint-seeds"]).await;

    let unknown = ListProductsRequest { parent: "categories/shoes".to_owned(), ..all() };
    assert_eq!(catalog.list_products(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn product_is_created_updated_and_deleted() {
    let fixture = Fixture::start().await;
    let mut catalog = fixture.catalog();
    let product = Product { title: "Star Chart: South".to_owned(), price_cents: 990, ..Product::default() };
    let create = |product: Product| CreateProductRequest {
        parent: "categories/books".to_owned(),
        product_id: String::new(),
        product: Some(product),
    };
    let response = catalog.create_product(create(product.clone())).await.unwrap();
    check_created(&response, "/v1/categories/books/products/star-chart-south");
    let created = response.into_inner();
    assert_eq!(created.availability(), Availability::SoldOut);
    let failure = catalog.create_product(create(product)).await.unwrap_err();
    let info: rpc::ResourceInfo = detail(&failure, Code::AlreadyExists, "ResourceInfo");
    assert_eq!(info.resource_name, created.name);

    let change = Product { price_cents: 1190, title: "ignored".to_owned(), ..created.clone() };
    let request = UpdateProductRequest { product: Some(change), update_mask: mask(&["price_cents", "etag"]) };
    let updated = catalog.update_product(request.clone()).await.unwrap().into_inner();
    assert_eq!((updated.price_cents, updated.title.as_str()), (1190, "Star Chart: South"));
    assert_ne!(updated.etag, created.etag);
    let failure = catalog.update_product(request).await.unwrap_err();
    let info: rpc::ErrorInfo = detail(&failure, Code::Aborted, "ErrorInfo");
    assert_eq!(info.metadata["sent"], created.etag);

    let delete = || DeleteProductRequest { name: created.name.clone() };
    catalog.delete_product(delete()).await.unwrap();
    assert_eq!(catalog.delete_product(delete()).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn faulty_product_is_told_every_fault() {
    let fixture = Fixture::start().await;
    let mut catalog = fixture.catalog();
    let product = Product {
        price_cents: -1,
        stock: -1,
        rating: Some(f64::NAN),
        weight_kg: Some(-1.0),
        tags: vec![String::new(); 17],
        ..Product::default()
    };
    let parent = "categories/books".to_owned();
    let request = CreateProductRequest { parent, product_id: "Ünder".to_owned(), product: Some(product) };
    let fields = violated_fields(&catalog.create_product(request).await.unwrap_err());
    let expected = ["productId", "product.stock", "product.title", "product.priceCents", "product.rating"];
    assert_eq!(fields[..5], expected);
    assert_eq!(fields[5..], ["product.weightKg", "product.tags"]);
}

#[tokio::test]
async fn full_shelf_says_when_to_try_again() {
    let fixture = Fixture::start().await;
    let mut catalog = fixture.catalog();
    let restock = |quantity| RestockProductRequest { name: TIDE_TABLES.to_owned(), quantity };
    assert_eq!(catalog.restock_product(restock(10)).await.unwrap().into_inner().stock, 260);
    assert_eq!(violated_fields(&catalog.restock_product(restock(0)).await.unwrap_err()), ["quantity"]);

    let failure = catalog.restock_product(restock(i32::MAX)).await.unwrap_err();
    let retry: rpc::RetryInfo = detail(&failure, Code::ResourceExhausted, "RetryInfo");
    assert_eq!(retry.retry_delay.unwrap().seconds, 30);
    let quota: rpc::QuotaFailure = detail(&failure, Code::ResourceExhausted, "QuotaFailure");
    assert_eq!(quota.violations[0].subject, TIDE_TABLES);
    assert_eq!(fixture.product(TIDE_TABLES).await.stock, 260);
}

#[tokio::test]
async fn import_goes_on_past_what_it_refuses() {
    let fixture = Fixture::start().await;
    let item = |parent: &str, title: &str| ImportProductsRequest {
        parent: parent.to_owned(),
        product_id: String::new(),
        product: Some(Product { title: title.to_owned(), stock: 1, ..Product::default() }),
    };
    let items = [
        item("categories/garden", "Rake"),
        item("", "Spade"),
        item("", ""),
        item("categories/shoes", "Clogs"),
        item("categories/garden", "Rake"),
        item("", "Trowel"),
    ];
    let summary = fixture.catalog().import_products(stream::iter(items)).await.unwrap().into_inner();
    assert_eq!((summary.received_count, summary.imported_count), (6, 3));
    let rejections: Vec<_> = summary
        .rejections
        .iter()
        .map(|rejection| (rejection.index, Code::from(rejection.status.as_ref().unwrap().code)))
        .collect();
    assert_eq!(rejections, [(2, Code::InvalidArgument), (3, Code::NotFound), (4, Code::AlreadyExists)]);
    assert!(summary.elapsed.is_some());
    assert_eq!(fixture.product("categories/garden/products/trowel").await.title, "Trowel");
}

#[tokio::test]
async fn quotes_are_answered_while_the_client_still_asks() {
    let fixture = Fixture::start().await;
    let mut catalog = fixture.catalog();
    let (questions, asked) = tokio::sync::mpsc::channel(1);
    let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
    let mut answers = catalog.quote_prices(asked).await.unwrap().into_inner();
    let ask = |product: &str, quantity| QuotePricesRequest { product: product.to_owned(), quantity };

    for (quantity, total_cents) in [(0, 5900), (10, 56_050), (100, 519_200)] {
        questions.send(ask(TEAPOT, quantity)).await.unwrap();
        match answers.message().await.unwrap().unwrap().result.unwrap() {
            QuoteResult::Quote(quote) => assert_eq!(quote.total_cents, total_cents),
            QuoteResult::Error(error) => panic!("{error:?}"),
        }
    }
    for (question, code) in [(ask("teapot", 1), Code::NotFound), (ask(TEAPOT, -1), Code::InvalidArgument)] {
        questions.send(question).await.unwrap();
        match answers.message().await.unwrap().unwrap().result.unwrap() {
            QuoteResult::Error(error) => assert_eq!(Code::from(error.code), code),
            QuoteResult::Quote(quote) => panic!("{quote:?}"),
        }
    }
    drop(questions);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn picture_is_drawn_until_one_is_uploaded() {
    let fixture = Fixture::start().await;
    let mut catalog = fixture.catalog();
    let name = || TIDE_TABLES.to_owned();
    let drawn = catalog.download_picture(DownloadPictureRequest { name: name() }).await.unwrap().into_inner();
    assert_eq!(drawn.content_type, "image/svg+xml");
    assert!(String::from_utf8(drawn.data).unwrap().contains("Tide Tables 2026"));

    let upload = |content_type: &str, data: Vec<u8>| {
        let picture = HttpBody { content_type: content_type.to_owned(), data, extensions: Vec::new() };
        UploadPictureRequest { name: name(), picture: Some(picture) }
    };
    let data: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let stored = catalog.upload_picture(upload("image/png", data.clone())).await.unwrap().into_inner();
    assert_eq!((stored.size_bytes, stored.content_type.as_str()), (300_000, "image/png"));
    let back = catalog.download_picture(DownloadPictureRequest { name: name() }).await.unwrap().into_inner();
    assert_eq!((back.content_type.as_str(), back.data), ("image/png", data));
    assert_eq!(fixture.product(TIDE_TABLES).await.picture_digest, stored.digest);

    let failure = catalog.upload_picture(upload("text/plain", Vec::new())).await.unwrap_err();
    assert_eq!(violated_fields(&failure), ["picture.contentType", "picture.data"]);
    let failure = catalog.upload_picture(upload("image/png", vec![0; 1024 * 1024 + 1])).await.unwrap_err();
    assert_eq!(violated_fields(&failure), ["picture.data"]);
}

#[test]
fn drawing_escapes_the_title() {
    let product = Product { title: "<script> & \u{7}".to_owned(), ..Product::default() };
    let svg = String::from_utf8(picture::draw(&product).data).unwrap();
    assert!(svg.contains("<title>&lt;script&gt; &amp;  </title>"), "{svg}");
}

#[tokio::test]
async fn export_is_as_long_as_asked_for() {
    let fixture = Fixture::start().await;
    let mut catalog = fixture.catalog();
    let mut size = async |min_size_bytes| {
        let mut pieces = catalog.export_products(ExportProductsRequest { min_size_bytes }).await.unwrap().into_inner();
        let (mut types, mut text) = (Vec::new(), Vec::new());
        while let Some(piece) = pieces.message().await.unwrap() {
            types.push(piece.content_type);
            text.extend(piece.data);
        }
        assert_eq!(types[0], "text/csv; charset=utf-8");
        assert!(types[1..].iter().all(String::is_empty));
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("copy,name,title,price_cents,stock\r\n1,categories/books/"));
        assert_eq!((text.lines().count() - 1) % 14, 0, "copies are whole");
        text.len()
    };
    assert!((800..1200).contains(&size(0).await));
    assert!((1_000_000..1_002_000).contains(&size(1_000_000).await));
    for min_size_bytes in [-1, i64::MAX] {
        let failure = catalog.export_products(ExportProductsRequest { min_size_bytes }).await.unwrap_err();
        assert_eq!(violated_fields(&failure), ["minSizeBytes"]);
    }
}

#[test]
fn export_quotes_what_would_break_a_row() {
    let product = Product { title: "a \"b\", c".to_owned(), ..Product::default() };
    let text: Vec<u8> = Export::new([&product].into_iter(), 0).unwrap().flat_map(|piece| piece.data).collect();
    assert!(String::from_utf8(text).unwrap().ends_with("\r\n1,,\"a \"\"b\"\", c\",0,0\r\n"));
    assert_eq!(Export::new([].into_iter(), 1000).unwrap().count(), 1, "an empty catalog is a header");
}

#[tokio::test]
async fn order_takes_goods_and_its_cancellation_puts_them_back() {
    let fixture = Fixture::start().await;
    let mut orders = fixture.orders();
    let response = orders.create_order(order("mira", vec![line(TEAPOT, 2), line(TIDE_TABLES, 1)])).await.unwrap();
    check_created(&response, "/v1/orders/1007");
    let placed = response.into_inner();
    assert_eq!((placed.status(), placed.total_cents), (OrderStatus::Placed, 13_090));
    assert_eq!((placed.lines[0].title.as_str(), placed.lines[0].unit_price_cents), ("Cast-Iron Teapot", 5900));
    assert_eq!(placed.delivery_address.as_ref().unwrap().city, "Porto");
    assert_eq!(fixture.product(TEAPOT).await.stock, 17);

    let order_id = placed.order_id.clone();
    let found = orders.get_order(GetOrderRequest { order_id }).await.unwrap().into_inner();
    assert_eq!(found, placed);

    let cancel = || CancelOrderRequest { order_id: "1007".to_owned(), reason: "changed my mind".to_owned() };
    let cancelled = orders.cancel_order(cancel()).await.unwrap().into_inner();
    assert_eq!(cancelled.status(), OrderStatus::Cancelled);
    assert_eq!(cancelled.history.last().unwrap().description, "changed my mind");
    assert_eq!(fixture.product(TEAPOT).await.stock, 19);
    let failure = orders.cancel_order(cancel()).await.unwrap_err();
    let precondition: rpc::PreconditionFailure = detail(&failure, Code::FailedPrecondition, "PreconditionFailure");
    assert_eq!(precondition.violations[0].r#type, "ORDER_STATUS");
}

#[tokio::test]
async fn faulty_order_is_told_every_fault() {
    let fixture = Fixture::start().await;
    let mut orders = fixture.orders();
    let card = Card { last_four: "12".to_owned(), expiry_month: 13, ..Card::default() };
    let request = CreateOrderRequest {
        lines: vec![line(TEAPOT, 0), line(TEAPOT, 1001)],
        payment: Some(Payment { method: Some(Method::Card(card)) }),
        delivery_address: Some(Address::default()),
        note: Some("x".repeat(501)),
        ..CreateOrderRequest::default()
    };
    let expected = [
        "userId",
        "lines[0].quantity",
        "lines[1].quantity",
        "lines[1].product",
        "payment.card.lastFour",
        "payment.card.expiryMonth",
        "deliveryAddress.countryCode",
        "deliveryAddress.city",
        "note",
    ];
    assert_eq!(violated_fields(&orders.create_order(request).await.unwrap_err()), expected);
    let empty = CreateOrderRequest::default();
    let expected = ["userId", "lines", "payment"];
    assert_eq!(violated_fields(&orders.create_order(empty).await.unwrap_err()), expected);
}

#[tokio::test]
async fn order_that_can_not_be_filled_takes_nothing() {
    let fixture = Fixture::start().await;
    let mut orders = fixture.orders();
    let sold_out = "categories/games/products/orrery-puzzle";
    let request = order("mira", vec![line(TIDE_TABLES, 1), line(sold_out, 1), line(TEAPOT, 20)]);
    let failure = orders.create_order(request).await.unwrap_err();
    let precondition: rpc::PreconditionFailure = detail(&failure, Code::FailedPrecondition, "PreconditionFailure");
    let subjects: Vec<_> = precondition.violations.iter().map(|violation| violation.subject.as_str()).collect();
    assert_eq!(subjects, [sold_out, TEAPOT]);
    assert_eq!(fixture.product(TIDE_TABLES).await.stock, 250);

    let failure = orders.create_order(order("jonas", vec![line(TIDE_TABLES, 1)])).await.unwrap_err();
    let localized: rpc::LocalizedMessage = detail(&failure, Code::PermissionDenied, "LocalizedMessage");
    assert_eq!(localized.locale, "en");
    let failure = orders.create_order(order("mira", vec![line("categories/x/products/y", 1)])).await.unwrap_err();
    let info: rpc::ResourceInfo = detail(&failure, Code::NotFound, "ResourceInfo");
    assert_eq!(info.resource_name, "categories/x/products/y");
}

#[tokio::test]
async fn orders_are_listed_from_the_latest() {
    let fixture = Fixture::start().await;
    let mut orders = fixture.orders();
    let mut check = async |request: ListOrdersRequest, expected: &[&str]| {
        let page = orders.list_orders(request).await.unwrap().into_inner();
        assert_eq!(page.orders.iter().map(|order| order.order_id.as_str()).collect::<Vec<_>>(), expected);
    };
    let all = ListOrdersRequest::default;
    check(all(), &["1006", "1005", "1004", "1003", "1002", "1001"]).await;
    check(ListOrdersRequest { user_id: "mira".to_owned(), ..all() }, &["1004", "1002"]).await;
    check(ListOrdersRequest { page_size: 2, ..all() }, &["1006", "1005"]).await;
    let statuses = vec![OrderStatus::Delivered.into(), OrderStatus::Cancelled.into()];
    check(ListOrdersRequest { statuses, ..all() }, &["1002", "1001"]).await;
    let placed_since = seed::orders()[4].created_at;
    check(ListOrdersRequest { placed_since, ..all() }, &["1006", "1005"]).await;
    let unknown = ListOrdersRequest { user_id: "nobody".to_owned(), ..all() };
    assert_eq!(orders.list_orders(unknown).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn watched_order_moves_until_it_is_delivered() {
    let fixture = Fixture::start().await;
    let mut orders = fixture.orders();
    let mut watch = async |order_id: &str| {
        let interval = Some(prost_types::Duration::default());
        let request = WatchOrderRequest { order_id: order_id.to_owned(), interval };
        let events = orders.watch_order(request).await.unwrap().into_inner();
        events.map(|event| event.unwrap()).map(|event| (event.sequence, event.status())).collect::<Vec<_>>().await
    };
    let expected = [
        (1, OrderStatus::Placed),
        (2, OrderStatus::Paid),
        (3, OrderStatus::Packed),
        (4, OrderStatus::Shipped),
        (5, OrderStatus::Delivered),
    ];
    assert_eq!(watch("1003").await, expected);
    assert_eq!(watch("1003").await, expected[4..]);
    assert_eq!(watch("1002").await, [(2, OrderStatus::Cancelled)]);

    let order = orders.get_order(GetOrderRequest { order_id: "1003".to_owned() }).await.unwrap().into_inner();
    assert!(order.delivered_at.is_some());
    let request = WatchOrderRequest { order_id: "01003".to_owned(), interval: None };
    assert_eq!(orders.watch_order(request).await.unwrap_err().code(), Code::NotFound);
    for seconds in [-1, 61, i64::MIN] {
        let interval = Some(prost_types::Duration { seconds, nanos: 0 });
        let request = WatchOrderRequest { order_id: "1003".to_owned(), interval };
        assert_eq!(violated_fields(&orders.watch_order(request).await.unwrap_err()), ["interval"]);
    }
}

#[tokio::test]
async fn watch_sees_a_cancellation_from_elsewhere() {
    let fixture = Fixture::start().await;
    let mut orders = fixture.orders();
    let interval = Some(prost_types::Duration { seconds: 0, nanos: 50_000_000 });
    let request = WatchOrderRequest { order_id: "1006".to_owned(), interval };
    let mut events = orders.watch_order(request).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap().unwrap().status(), OrderStatus::Paid);
    let request = CancelOrderRequest { order_id: "1006".to_owned(), reason: String::new() };
    orders.cancel_order(request).await.unwrap();
    let rest: Vec<_> = events.map(|event| event.unwrap().status()).collect().await;
    assert_eq!(rest.last(), Some(&OrderStatus::Cancelled));
}

#[tokio::test]
async fn health_ends_with_the_server() {
    let Fixture { shop, channel } = Fixture::start().await;
    let mut health = HealthClient::new(channel);
    let about = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "shop.orders.v1.OrderService", "grpc.health.v1.Health"] {
        let response = health.check(about(service)).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{service}");
    }
    assert_eq!(health.check(about("nothing")).await.unwrap_err().code(), Code::NotFound);

    let mut known = health.watch(about("")).await.unwrap().into_inner();
    assert_eq!(known.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let mut unknown = health.watch(about("nothing")).await.unwrap().into_inner();
    assert_eq!(unknown.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    tokio::time::timeout(Duration::from_secs(10), shop.stop()).await.expect("the shop stops within its grace");
    assert_eq!(known.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(known.message().await.unwrap(), None);
    assert_eq!(unknown.message().await.unwrap(), None);
}

/// One question to the reflection service of this version.
async fn reflect(fixture: &Fixture, question: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: "shop".to_owned(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(fixture.channel.clone());
    let mut answers = client.server_reflection_info(stream::iter([request.clone()])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert_eq!(answers.message().await.unwrap(), None);
    assert_eq!((answer.valid_host.as_str(), answer.original_request), ("shop", Some(request)));
    answer.message_response.unwrap()
}

#[tokio::test]
async fn reflection_leads_to_every_import_of_a_service() {
    let fixture = Fixture::start().await;
    let MessageResponse::ListServicesResponse(services) =
        reflect(&fixture, MessageRequest::ListServices(String::new())).await
    else {
        panic!("not a list of services");
    };
    assert_eq!(services.service.len(), 6);

    let mut files = BTreeMap::new();
    let mut missing: Vec<_> =
        services.service.into_iter().map(|service| MessageRequest::FileContainingSymbol(service.name)).collect();
    while let Some(question) = missing.pop() {
        let MessageResponse::FileDescriptorResponse(answer) = reflect(&fixture, question.clone()).await else {
            panic!("no file for {question:?}");
        };
        for bytes in answer.file_descriptor_proto {
            let file = prost_types::FileDescriptorProto::decode(bytes.as_slice()).unwrap();
            let imports = file.dependency.iter().filter(|import| !files.contains_key(*import));
            missing.extend(imports.cloned().map(MessageRequest::FileByFilename));
            files.insert(file.name().to_owned(), bytes);
        }
    }
    let mut pool = DescriptorPool::new();
    let set = files.values().flat_map(|bytes| {
        let mut entry = vec![0x0a];
        prost::encode_length_delimiter(bytes.len(), &mut entry).unwrap();
        entry.extend(bytes);
        entry
    });
    pool.decode_file_descriptor_set(set.collect::<Vec<u8>>().as_slice()).unwrap();
    let method = pool.get_service_by_name("shop.orders.v1.OrderService").unwrap().methods().next().unwrap();
    let http = pool.get_extension_by_name("google.api.http").unwrap();
    assert!(method.options().has_extension(&http), "annotations survive reflection");
}

#[tokio::test]
async fn reflection_answers_each_kind_of_question() {
    let fixture = Fixture::start().await;
    let file = async |question| match reflect(&fixture, question).await {
        MessageResponse::FileDescriptorResponse(answer) => {
            let file = prost_types::FileDescriptorProto::decode(answer.file_descriptor_proto[0].as_slice()).unwrap();
            file.name().to_owned()
        }
        MessageResponse::ErrorResponse(error) => format!("{:?}", Code::from(error.error_code)),
        other => panic!("{other:?}"),
    };
    let symbol = |name: &str| MessageRequest::FileContainingSymbol(name.to_owned());
    let orders = "shop/orders/v1/orders.proto";
    for name in ["OrderService", "OrderService.GetOrder", "Payment.Card", "Order.user_id", "ORDER_STATUS_PAID"] {
        assert_eq!(file(symbol(&format!("shop.orders.v1.{name}"))).await, orders, "{name}");
    }
    assert_eq!(file(symbol("google.api.http")).await, "google/api/annotations.proto");
    assert_eq!(file(symbol("shop.orders.v1")).await, "NotFound");
    assert_eq!(file(MessageRequest::FileByFilename("nothing.proto".to_owned())).await, "NotFound");
    let extension = |extension_number| ExtensionRequest {
        containing_type: "google.protobuf.MethodOptions".to_owned(),
        extension_number,
    };
    let question = MessageRequest::FileContainingExtension(extension(72_295_728));
    assert_eq!(file(question).await, "google/api/annotations.proto");
    assert_eq!(file(MessageRequest::FileContainingExtension(extension(1))).await, "NotFound");

    let question = MessageRequest::AllExtensionNumbersOfType("google.protobuf.MethodOptions".to_owned());
    let MessageResponse::AllExtensionNumbersResponse(answer) = reflect(&fixture, question).await else {
        panic!("no numbers");
    };
    assert_eq!(answer.extension_number, [72_295_728]);
}

#[tokio::test]
async fn older_reflection_answers_the_same() {
    let fixture = Fixture::start().await;
    let question = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(fixture.channel);
    let mut answers = client.server_reflection_info(stream::iter([request])).await.unwrap().into_inner();
    match answers.message().await.unwrap().unwrap().message_response.unwrap() {
        v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) => {
            assert!(list.service.iter().any(|service| service.name == "grpc.reflection.v1alpha.ServerReflection"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn descriptor_set_stands_alone() {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let services: BTreeSet<_> = pool.services().map(|service| service.full_name().to_owned()).collect();
    let expected = ["shop.catalog.v1.CatalogService", "shop.orders.v1.OrderService", "shop.users.v1.UserService"];
    assert_eq!(services.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let method = pool.get_service_by_name(expected[1]).unwrap().methods().next().unwrap();
    let file = method.parent_file();
    let file = file.file_descriptor_proto();
    let mut places = file.source_code_info.as_ref().unwrap().location.iter();
    assert!(places.any(|place| place.leading_comments().contains("Places an order")), "comments are kept");
}

#[test]
fn printed_requests_are_what_they_say() {
    let requests = requests("0.0.0.0:8080".parse().unwrap());
    let shapes: Vec<_> = requests.iter().map(|request| (&request.verb, request.status)).collect();
    let expected = [
        (&Verb::GET, StatusCode::OK),
        (&Verb::GET, StatusCode::OK),
        (&Verb::POST, StatusCode::CREATED),
        (&Verb::PATCH, StatusCode::OK),
        (&Verb::POST, StatusCode::BAD_REQUEST),
        (&Verb::GET, StatusCode::OK),
    ];
    assert_eq!(shapes, expected);
    for request in &requests {
        assert!(request.curl.contains(&format!("'http://127.0.0.1:8080{}'", request.path)), "{}", request.curl);
        assert!(request.path.parse::<http::Uri>().is_ok(), "{}", request.path);
        if let Some(body) = request.body {
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        }
    }
    let expected =
        "curl -sSN 'http://127.0.0.1:8080/v1/orders/1003:watch?interval=0.5s' -H 'accept: application/x-ndjson'";
    assert_eq!(requests[5].curl, expected);
}

#[tokio::test]
async fn bounds_hold() {
    // Without the socket: a thousand calls are slow in a test build.
    let users = Users::seeded();
    let open = |number: usize| {
        let email = format!("{number}@mail.example");
        Request::new(CreateUserRequest { user: Some(User { display_name: "x".to_owned(), email, ..User::default() }) })
    };
    for number in 6..1000 {
        users.create_user(open(number)).await.unwrap();
    }
    let failure = users.create_user(open(1000)).await.unwrap_err();
    let quota: rpc::QuotaFailure = detail(&failure, Code::ResourceExhausted, "QuotaFailure");
    assert_eq!(quota.violations[0].subject, "accounts");

    let refused = std::iter::repeat_n(ImportProductsRequest::default(), 150);
    let fixture = Fixture::start().await;
    let summary = fixture.catalog().import_products(stream::iter(refused)).await.unwrap().into_inner();
    assert_eq!((summary.received_count, summary.imported_count, summary.rejections.len()), (150, 0, 100));
}

#[tokio::test]
async fn dropped_shop_takes_no_more_connections() {
    let shop = Shop::start().await.unwrap();
    let address = shop.address();
    drop(shop);
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await.expect("the port is closed");
}

#[test]
fn everything_in_the_shop_is_documented() {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut missing = Vec::new();
    for file in set.file.iter().filter(|file| file.name().starts_with("shop/")) {
        // The numbers of the fields that hold messages, enums, services, fields, values and methods; the last two
        // steps of a path are such a number and a position.
        let declares = |path: &[i32]| match path {
            [4..=6, _] => true,
            [4, _, .., 2..=4, _] | [5, _, 2, _] | [6, _, 2, _] => path.len().is_multiple_of(2),
            _ => false,
        };
        let places = &file.source_code_info.as_ref().unwrap().location;
        let silent = places.iter().filter(|place| declares(&place.path) && place.leading_comments().trim().is_empty());
        missing.extend(silent.map(|place| format!("{}:{}", file.name(), place.span[0] + 1)));
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[tokio::test]
async fn watch_that_the_shop_cuts_short_says_so() {
    let Fixture { shop, channel } = Fixture::start().await;
    let interval = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = WatchOrderRequest { order_id: "1003".to_owned(), interval };
    let mut events = OrderServiceClient::new(channel).watch_order(request).await.unwrap().into_inner();
    assert_eq!(events.message().await.unwrap().unwrap().status(), OrderStatus::Placed);
    tokio::time::timeout(Duration::from_secs(10), shop.stop()).await.expect("the shop stops within its grace");
    assert_eq!(events.message().await.unwrap_err().code(), Code::Unavailable);
}
