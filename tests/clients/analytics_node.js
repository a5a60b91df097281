// Sends one of each call by analytics-node, and prints what the client says it sent, a line each.
const [, , folder, host, writeKey, path] = process.argv;
const { createRequire } = require('node:module');
const { Analytics } = createRequire(folder + '/')('@segment/analytics-node');

const analytics = new Analytics({ writeKey, host, path, flushAt: 4, flushInterval: 200 });
const page = { url: 'https://shop.example/p/KET-1?a=1#top', title: 'Kettle', path: '/p/KET-1' };
const context = {
  page: { ...page, referrer: 'https://search.example/' },
  locale: 'en-GB', timezone: 'Europe/London', userAgent: 'Mozilla/5.0', ip: '192.0.2.9',
  campaign: { source: 'newsletter', medium: 'email', name: 'spring' },
  consent: { categoryPreferences: { Analytics: true, Marketing: false } },
};
const who = { userId: 'ada@example.org', anonymousId: 'anon-1' };
const calls = [
  ['track', { ...who, event: 'Product Viewed', properties: { product_id: 'KET-1', price: 39.99, name: 'Kettle' }, context }],
  ['page', { ...who, category: 'Docs', name: 'Home', properties: { ...page, plan: 'gold' } }],
  ['identify', { ...who, traits: { email: 'ada@example.org', plan: { name: 'gold' } } }],
  ['group', { ...who, groupId: 'acme', traits: { name: 'Acme' } }],
  ['alias', { userId: 'ada@example.org', previousId: 'anon-1' }],
  ['screen', { ...who, name: 'Cart', category: 'Shop' }],
  ['track', { ...who, event: 'Wishlist Add', properties: { sku: 'TEA-1' }, messageId: 'wish-1',
    timestamp: new Date(Date.now() - 60000) }],
];
for (const [name, message] of calls) {
  analytics[name](message, (error, ctx) => {
    if (error) throw error;
    console.log(JSON.stringify(ctx.event));
  });
}
analytics.closeAndFlush({ timeout: 20000 });
