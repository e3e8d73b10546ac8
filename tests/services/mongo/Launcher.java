import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.List;

/** Serves MongoDB's protocol from memory on 127.0.0.1, on the port given, under a version that current drivers talk to. */
public class Launcher {
    public static void main(String[] args) throws Exception {
        MemoryBackend backend = new MemoryBackend();
        backend.version(new MongoVersion() {
            @Override
            public List<Integer> getVersionArray() {
                return Arrays.asList(5, 0, 0, 0);
            }

            @Override
            public int getWireVersion() {
                return 21;
            }
        });
        new MongoServer(backend).bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])));
        Thread.currentThread().join();
    }
}
